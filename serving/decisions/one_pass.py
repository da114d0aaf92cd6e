"""All layers of a decision but the ranking, in one compiled pass: of few customers, the calls would cost the most."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from features.kernels import kernel

from .fresh import EventArrays, add_jumps
from .layers import arbitration, consent, contact_policy, eligibility, facts, service_actions, suitability, triggers
from .layers.arbitration import Weights
from .layers.consent import ConsentLog
from .layers.contact_policy import ComplaintLog, ContactLog, ContactTables
from .layers.facts import Moment, Profiles, Series, Stages
from .layers.rule_tables import ArbitrationTables, EligibilityTables
from .layers.suitability import SuitabilityTables
from .layers.triggers import MaturityLog, TriggerTables
from .reason_codes import Reason

_CHUNK = 256  # customers taken at a time: what one layer writes is still near when the next reads it
_NOT_PERSONAL = Reason.PERSONALISATION_REFUSED.bit


class Tables(NamedTuple):
    """What the layers read that is the same for all blocks, on one day and for one channel."""

    today: Moment
    profiles: Profiles
    balances: Series
    flows: Series
    consents: ConsentLog
    contacts: ContactLog
    complaints: ComplaintLog
    maturities: MaturityLog
    stages: Stages
    eligibility: EligibilityTables
    suitability: SuitabilityTables
    contact_policy: ContactTables
    triggers: TriggerTables
    arbitration: ArbitrationTables
    weights: Weights
    service_actions: NDArray[np.int8]

    @property
    def plain(self) -> tuple[Any, ...]:
        """The same without names: they cost as much to pass on as what they name."""
        return tuple(tuple(part) if isinstance(part, tuple) else part for part in self)


@kernel
def _rows(  # type: ignore[no-untyped-def]
    start, stop, positions, versions, words, propensities, asked, fresh_rows, fresh, fresh_channels, jumps, today,
    profiles, balances, flows, consents, contacts, complaints, maturities, stages, eligible, suitable, silent,
    timely, weighing, weights, occasions, known, excluded, steps, refused, silences, found_triggers, factors,
    due, personalised, free,
):  # fmt: skip
    fresh, today, profiles = EventArrays(*fresh), Moment(*today), Profiles(*profiles)
    balances, flows, consents = Series(*balances), Series(*flows), ConsentLog(*consents)
    contacts, complaints, maturities = ContactLog(*contacts), ComplaintLog(*complaints), MaturityLog(*maturities)
    stages, eligible, suitable = Stages(*stages), EligibilityTables(*eligible), SuitabilityTables(*suitable)
    silent, timely = ContactTables(*silent), TriggerTables(*timely)
    weighing, weights = ArbitrationTables(*weighing), Weights(*weights)
    groups, kinds, ages, tiers, levels, assessments, assets, debts = known
    rules, raised, complaint = silences
    bits, figures = found_triggers
    day = today.day
    add_jumps(start, stop, fresh_rows, fresh, day, jumps)
    facts.rows(start, stop, positions, versions, jumps, profiles, balances, stages, today, known)
    eligibility.rows(start, stop, words, groups, kinds, ages, tiers, assets, eligible, excluded)
    suitability.rows(start, stop, kinds, ages, levels, assessments, assets, debts, asked, suitable, excluded, steps)
    consent.rows(start, stop, positions, consents, fresh_rows, fresh, fresh_channels, day, refused)
    contact_policy.rows(
        start, stop, positions, contacts, complaints, fresh_rows, fresh, fresh_channels, day, silent, rules, raised,
        complaint,
    )  # fmt: skip
    contact_policy.exclude_rows(start, stop, rules, complaint, asked, silent, refused, excluded)
    triggers.rows(
        start, stop, positions, words, versions, profiles.born, kinds, tiers, assets, balances, flows, maturities,
        fresh_rows, fresh, jumps, timely, today, bits, figures,
    )  # fmt: skip
    n_broken = arbitration.rows(
        start, stop, propensities, assets, groups, bits, raised, asked, weighing, weights, excluded, factors
    )
    service_actions.rows(start, stop, occasions, assessments, complaint, bits, due)
    for row in range(start, stop):
        personalised[row] = not refused[row] & _NOT_PERSONAL
        for product in range(words.shape[1]):
            free[row, product] = not excluded[row, product] & ~_NOT_PERSONAL
    return n_broken


def over(n: int, *arguments: Any) -> int:
    """Pass over the rows of a block of `n` customers; how many propensities are NaN.

    `arguments` : those of the compiled pass behind `start` and `stop`
    """
    if n <= _CHUNK:
        return int(_rows(0, n, *arguments))

    def some(start: int) -> int:
        return int(_rows(start, min(n, start + _CHUNK), *arguments))

    starts, threads = range(0, n, _CHUNK), numba.get_num_threads()
    if threads == 1:
        return sum(map(some, starts))
    # numba's own threads would have to compile so many arrays into a loop: it takes minutes
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(some, starts))
