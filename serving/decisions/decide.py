"""``decide()``: from propensities to what each customer of a block is offered, and why not the rest.

One path for every use: an RM's request is a block of one, a campaign a stream of blocks, a simulation the same stream
from an older date.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.errors import BadInput
from training import top_k

from .compiled import CompiledPolicy, Context
from .fresh import FreshEvents
from .layers import arbitration, consent, contact_policy, eligibility, suitability
from .layers import triggers as trigger_finder
from .layers.arbitration import Priorities
from .layers.contact_policy import Silences
from .layers.facts import EXPIRED_ASSESSMENT, CustomerFacts, facts_of
from .layers.triggers import FoundTriggers
from .policy.sections import TRIGGERS
from .reason_codes import Reason

_PERSONAL = ~Reason.PERSONALISATION_REFUSED.bit
_OUTRANKED = Reason.OUTRANKED.bit


@dataclass(frozen=True)
class Decisions:
    """What each customer of a block is offered, best first, and what excluded the rest.

    Attributes
    ----------
    positions : int64, shape (n_customers,); rows of the states
    products : int32, shape (n_customers, limit); product positions, -1: nothing more to offer; no wider than there
        are products
    propensities : float32, shape (n_customers, limit); calibrated probability of acquisition within the horizon,
        0 where there is nothing to offer, as in the next four, or the customer is not to be personalised
    values : float32, same shape; money that an acquisition is worth; 1 for who is not to be personalised
    contexts, levers : float32, same shape; weights, 1 likewise
    priorities : float32, same shape; the product of these four, or, likewise, the product's popularity
    steps : uint8, same shape; bits of what has to be done and recorded before the offer, see `suitability`
    excluded : uint32, shape (n_customers, n_products); bits of every `Reason` that holds
    personalised : bool, shape (n_customers,)
    service_actions : uint16, shape (n_customers,); bits in the order of the policy's
    triggers : what makes now the right time
    facts, silences, factors : what it was decided from, for every product
    """

    positions: NDArray[np.int64]
    products: NDArray[np.int32]
    propensities: NDArray[np.float32]
    values: NDArray[np.float32]
    contexts: NDArray[np.float32]
    levers: NDArray[np.float32]
    priorities: NDArray[np.float32]
    steps: NDArray[np.uint8]
    excluded: NDArray[np.uint32]
    personalised: NDArray[np.bool_]
    service_actions: NDArray[np.uint16]
    found_triggers: FoundTriggers
    facts: CustomerFacts
    silences: Silences
    factors: Priorities

    @property
    def triggers(self) -> NDArray[np.uint16]:
        """Uint16, shape (n_customers,); bits in the order of `TRIGGERS`; of who is not to be personalised, for service
        actions only."""
        return self.found_triggers.bits


def decide(
    propensities: NDArray[np.float32],
    block: CustomerBlock,
    policy: CompiledPolicy,
    context: Context,
    *,
    limit: int,
    products: NDArray[np.bool_] | None = None,
    fresh: FreshEvents | None = None,
) -> Decisions:
    """Run every layer of `policy` over `block` and rank what is left by priority; ties go to the lower product id.

    Parameters
    ----------
    propensities : float32, shape (n_customers, n_products)
    block : of the policy's states and period, the events that change holdings laid over it (`FreshEvents.lay_over`)
    limit : offers a customer gets at most
    products : shape (n_products,); the products in question, by default all
    fresh : what happened since the states were built

    Raises
    ------
    BadInput : when the block is not of the policy's states and period, or a propensity is NaN
    NotFound : when the client asked for a product that does not exist, or the policy has no such channel
    """
    if block.states is not policy.states or block.period != policy.period:
        raise BadInput("the policy was made ready for other states or another period than the block's")
    fresh = FreshEvents.none() if fresh is None else fresh
    tables, asked, day = policy.tables(context), policy.asked(context), context.day
    rules = policy.policy
    jumps = fresh.jumps(block.positions, day)
    facts = facts_of(block, policy.groups, policy.debts, day, rules.suitability.pack.valid_days, jumps[:, 0])
    excluded = eligibility.exclude(block.words, facts, tables.eligibility)
    steps = suitability.exclude(facts, asked, policy.suitability, excluded)
    refused = consent.refusals(block, fresh, rules.consent, context.channel, day)
    silences = contact_policy.silences(block, fresh, policy.contacts, context.channel, day)
    contact_policy.exclude(silences, asked, policy.contacts, refused, excluded)
    triggers = trigger_finder.find(block, facts, policy.triggers, fresh, jumps, day)
    factors = arbitration.prioritise(
        propensities, policy.value.scales(facts.assets), facts.groups, triggers.bits, silences.raised, asked,
        tables.arbitration, tables.weights, excluded,
    )  # fmt: skip
    free = (excluded & _PERSONAL) == 0
    if products is not None:
        free &= products
    ranked = _ranked(factors.priorities, free, asked, min(limit, block.n_products))
    shown = _shown(factors, steps, free, ranked, excluded)
    return Decisions(
        block.positions,
        ranked,
        *shown,
        excluded=excluded,
        personalised=(refused & ~_PERSONAL) == 0,
        service_actions=_service_actions(policy, facts, silences, triggers),
        found_triggers=triggers,
        facts=facts,
        silences=silences,
        factors=factors,
    )


def _ranked(
    priorities: NDArray[np.float32], free: NDArray[np.bool_], asked: NDArray[np.bool_], limit: int
) -> NDArray[np.int32]:
    """The best of what is `free`, what the client asked for before the rest."""
    if not asked.any():
        return top_k(priorities, free, limit)
    ranked = np.hstack([top_k(priorities, free & asked, limit), top_k(priorities, free & ~asked, limit)])
    return np.take_along_axis(ranked, np.argsort(ranked < 0, axis=1, kind="stable"), axis=1)[:, :limit].copy()


def _shown(
    factors: Priorities,
    steps: NDArray[np.uint8],
    free: NDArray[np.bool_],
    ranked: NDArray[np.int32],
    excluded: NDArray[np.uint32],
) -> tuple[
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.uint8],
]:
    """The factors and steps of what is `ranked`, 0 where nothing is; what is `free` and is not shown is outranked."""
    shape = ranked.shape
    shown = (
        np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32),
        np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint8),
    )  # fmt: skip
    _show((*vars(factors).values(), steps), free, ranked, excluded, shown)
    return shown


@numba.njit(cache=True, nogil=True)
def _show(values, free, ranked, excluded, shown):  # type: ignore[no-untyped-def]
    propensities, worth, contexts, levers, priorities, steps = values
    for row in range(len(ranked)):
        for product in range(free.shape[1]):
            if free[row, product]:
                excluded[row, product] |= _OUTRANKED
        for place in range(ranked.shape[1]):
            product = ranked[row, place]
            if product < 0:
                break
            excluded[row, product] &= ~_OUTRANKED
            shown[0][row, place] = propensities[row, product]
            shown[1][row, place] = worth[row, product]
            shown[2][row, place] = contexts[row, product]
            shown[3][row, place] = levers[row, product]
            shown[4][row, place] = priorities[row, product]
            shown[5][row, place] = steps[row, product]


def _service_actions(
    policy: CompiledPolicy, facts: CustomerFacts, silences: Silences, triggers: FoundTriggers
) -> NDArray[np.uint16]:
    bits = np.zeros(len(facts.groups), dtype=np.uint16)
    for number, action in enumerate(policy.policy.service_actions):
        if action.when == "risk_assessment_expired":
            due = (facts.assessments & EXPIRED_ASSESSMENT) != 0
        elif action.when == "open_complaint":
            due = silences.complaint
        else:
            due = (triggers.bits >> TRIGGERS.index(action.when) & 1) != 0
        bits |= due.astype(np.uint16) << np.uint16(number)
    return bits
