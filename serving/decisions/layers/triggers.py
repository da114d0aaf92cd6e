"""Triggers: what makes now the right time to talk to a customer. `docs/policy.md` has the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import Catalogue
from features.contracts import KINDS
from features.kernels import kernel
from features.sql.queries import FLOW_KEYS
from features.states.events import EventLog
from features.states.profile import MISSING_DAY

from ..fresh import CLOSED
from ..policy.schema import Policy
from ..policy.sections import TRIGGERS, Raise
from .civil import civil_of, day_of
from .facts import RETAIL

(
    MATURING, LARGE_INFLOW, SALARY_STARTED, SALARY_STOPPED, LOAN_NEARLY_REPAID, BALANCE_FALLING, NEXT_TIER,
    LIFE_STAGE_BIRTHDAY,
) = range(len(TRIGGERS))  # fmt: skip

_INFLOW = FLOW_KEYS.index("inflow")
_LONGEST = 13  # periods of assets and inflows that any trigger looks at


class TriggerTables(NamedTuple):
    """The triggers of a policy as arrays.

    Attributes
    ----------
    active : bool, shape (n_triggers,)
    products : bool, shape (n_triggers, n_products); those whose accounts, holdings or balances a trigger watches
    amounts : float64, shape (n_triggers, 3); its figures: a ratio or share, the least amount, days or periods
    weights : float64, shape (n_triggers, n_products); of context, 1 where a trigger raises nothing
    debts : bool, shape (n_products,)
    next_assets : float64, shape (n_tiers,); where the next tier up begins, NaN: there is none
    tier_kinds : bool, shape (n_kinds + 1,); kinds whose tier goes by assets
    birthdays : int64; ages in years
    """

    active: NDArray[np.bool_]
    products: NDArray[np.bool_]
    amounts: NDArray[np.float64]
    weights: NDArray[np.float64]
    debts: NDArray[np.bool_]
    next_assets: NDArray[np.float64]
    tier_kinds: NDArray[np.bool_]
    birthdays: NDArray[np.int64]

    @classmethod
    def of(cls, policy: Policy, catalogue: Catalogue, debts: NDArray[np.bool_]) -> TriggerTables:
        """The tables of a policy's section."""
        triggers, n = policy.triggers, len(catalogue)
        active = np.array([getattr(triggers, name) is not None for name in TRIGGERS])
        products = np.zeros((len(TRIGGERS), n), dtype=np.bool_)
        amounts = np.zeros((len(TRIGGERS), 3))
        weights = np.ones((len(TRIGGERS), n))
        for number, name in enumerate(TRIGGERS):
            trigger = getattr(triggers, name)
            if trigger is None:
                continue
            watched = getattr(trigger, "product", ()), getattr(trigger, "family", ())
            products[number] = [p.product_id in watched[0] or p.family in watched[1] for p in catalogue.products]
            amounts[number] = [
                next((getattr(trigger, figure) for figure in figures if hasattr(trigger, figure)), 0.0)
                for figures in _FIGURES
            ]
            if trigger.raises is not None:
                weights[number] = np.where(raised_by(trigger.raises, catalogue), trigger.raises.weight, 1.0)
        return cls(
            active, products, amounts, weights, debts, _next_assets(policy),
            np.array([*(kind in getattr(triggers.next_tier, "kind", ()) for kind in KINDS), False]),
            np.array(getattr(triggers.life_stage_birthday, "ages", ()), dtype=np.int64),
        )  # fmt: skip


_FIGURES = (("times", "left", "to", "within"), ("least",), ("within_days", "within_periods", "over_periods"))


def raised_by(raises: Raise, catalogue: Catalogue) -> NDArray[np.bool_]:
    """Shape (n_products,): what a trigger makes timely."""
    return np.array([p.product_id in raises.product or p.family in raises.family for p in catalogue.products])


def _next_assets(policy: Policy) -> NDArray[np.float64]:
    thresholds = [np.nan if assets is None else assets for assets in policy.tiers.values()]
    found = []
    for rank in range(len(thresholds)):
        above = [assets for assets in thresholds[rank + 1 :] if not np.isnan(assets)]
        found.append(above[0] if above else np.nan)
    return np.array(found, dtype=np.float64)


@dataclass(frozen=True)
class FoundTriggers:
    """The triggers that hold for the customers of a block.

    Attributes
    ----------
    bits : uint16, shape (n_customers,); in the order of `TRIGGERS`
    figures : float32, shape (n_customers, n_triggers, 2); what each says with the customer's own numbers, NaN where it
        does not hold or has none: maturing: balance, days left; large_inflow: what came in, the mean before;
        salary_started and salary_stopped: periods since; loan_nearly_repaid: what is owed (NaN when it is only due),
        days left (NaN when only little is left); balance_falling: assets, the mean before; next_tier: what is missing,
        the threshold; life_stage_birthday: the age, days until the birthday (below 0: since)
    """

    bits: NDArray[np.uint16]
    figures: NDArray[np.float32]


class MaturityLog(NamedTuple):
    """The states' accounts that mature."""

    indptr: NDArray[np.int64]
    known_on: NDArray[np.int32]
    products: NDArray[np.int16]
    matures_on: NDArray[np.int32]
    closed_on: NDArray[np.int32]

    @classmethod
    def of(cls, log: EventLog) -> MaturityLog:
        """Those of `log`."""
        columns = log.columns
        return cls(log.indptr, columns["known_on"], columns["product"], columns["matures_on"], columns["closed_on"])


@kernel(inline="always")
def _sums(panel, position, age, chosen, before, out):  # type: ignore[no-untyped-def]
    """Sums over the series of `chosen` keys, float64, of the period at `age` and so many `before`; NaN where nothing is
    known."""
    out[: before + 1] = np.nan
    depth = min(before + 1, panel.values.shape[1] - age)
    for series in range(panel.indptr[position], panel.indptr[position + 1]):
        if not chosen[panel.keys[series]]:
            continue
        for step in range(depth):
            value = np.float64(panel.values[series, age + step])
            if value == value:
                out[step] = value if np.isnan(out[step]) else out[step] + value


@kernel(inline="always")
def _ended(product, events, fresh, day):  # type: ignore[no-untyped-def]
    """Whether a newer event closed what the customer had of a product."""
    for event in range(events[0], events[1]):
        if fresh.kinds[event] == CLOSED and fresh.products[event] == product and fresh.days[event] <= day:
            return True
    return False


@kernel(inline="always")
def _due(log, position, events, fresh, watched, day, within):  # type: ignore[no-untyped-def]
    """Which product's account matures first within days from `day`, and when; -1: none."""
    product, when = -1, day + within + 1
    for event in range(log.indptr[position], log.indptr[position + 1]):
        matures = log.matures_on[event]
        known = log.known_on[event] <= day < log.closed_on[event]
        due = known and watched[log.products[event]] and day <= matures < when
        if due and not _ended(log.products[event], events, fresh, day):
            product, when = log.products[event], matures
    return product, when


@kernel(inline="always")
def _balance(panel, position, age, product):  # type: ignore[no-untyped-def]
    """The product's balance of the period, and the largest known one up to then."""
    now, largest = np.nan, np.nan
    for series in range(panel.indptr[position], panel.indptr[position + 1]):
        if panel.keys[series] != product:
            continue
        now = np.float64(panel.values[series, age])
        for back in range(age, panel.values.shape[1]):
            value = np.float64(panel.values[series, back])
            if value == value and not value <= largest:
                largest = value
    return now, largest


@kernel(inline="always")
def _changed(words, watched, within, started):  # type: ignore[no-untyped-def]
    """Periods since one of the watched products was added and is held, or was dropped and none is held; -1: no."""
    one, newest, any_held = np.uint64(1), -1, False
    for product in range(len(words)):
        if not watched[product]:
            continue
        word = words[product]
        held = (word & one) != 0
        any_held |= held
        for ago in range(within):
            now = (word >> np.uint64(ago)) & one
            before = (word >> np.uint64(ago + 1)) & one
            if (started and held and now and not before) or (not started and before and not now):
                newest = ago if newest < 0 or ago < newest else newest
                break
    return -1 if not started and any_held else newest


@kernel(inline="always")
def _note(bits, figures, trigger, first, second):  # type: ignore[no-untyped-def]
    figures[trigger, 0], figures[trigger, 1] = first, second
    return bits | np.uint16(1 << trigger)


@kernel(inline="always")
def _birthday(born, ages, day, within):  # type: ignore[no-untyped-def]
    """The age of the nearest birthday within days, and days until it; age -1: none."""
    year, month, day_of_month = civil_of(np.int64(born))
    age, until = -1, within + 1
    for candidate in ages:
        days = day_of(year + candidate, month, day_of_month) - day
        if abs(days) <= within and abs(days) < abs(until):
            age, until = candidate, days
    return age, until


@kernel(inline="always")
def _loan(row, position, words, balances, age, log, events, fresh, tables, day):  # type: ignore[no-untyped-def]
    """Whether a loan is nearly repaid; what is owed of the one with the smallest share left, and days until one is
    due."""
    watched, figures = tables.products[LOAN_NEARLY_REPAID], tables.amounts[LOAN_NEARLY_REPAID]
    owed, share, found = np.nan, np.inf, False
    for product in range(len(watched)):
        if watched[product] and words[row, product] & np.uint64(1):
            now, largest = _balance(balances, position, age, product)
            if 0 < now <= figures[0] * largest and now / largest < share:
                owed, share, found = now, now / largest, True
    product, when = _due(log, position, events, fresh, watched, day, np.int64(figures[2]))
    return found or product >= 0, owed, np.float64(when - day) if product >= 0 else np.nan


@kernel(inline="always")
def _inflow(sums, tables):  # type: ignore[no-untyped-def]
    """Whether the newest inflow is large, and the mean before."""
    ratio, least, periods = tables.amounts[LARGE_INFLOW]
    total, known = 0.0, False
    for back in range(1, np.int64(periods) + 1):
        if sums[back] == sums[back]:
            total += sums[back]
            known = True
    mean = total / periods
    return known and sums[0] >= least and sums[0] >= ratio * mean, mean


@kernel(inline="always")
def _falling(assets, sums, tables):  # type: ignore[no-untyped-def]
    """Whether assets fell, and the mean of the known ones before."""
    ratio, least, periods = tables.amounts[BALANCE_FALLING]
    total, known = 0.0, 0
    for back in range(1, np.int64(periods) + 1):
        if sums[back] == sums[back]:
            total += sums[back]
            known += 1
    mean = total / known if known else np.nan
    return mean >= least and assets <= ratio * mean, mean


@kernel
def rows(  # type: ignore[no-untyped-def]
    start, stop, positions, words, versions, birth_dates, kinds, tiers, assets, balances, flows, log, fresh_rows, fresh,
    jumps, tables, today, bits, figures,
):  # fmt: skip
    """Write the triggers of some rows into the arrays of `FoundTriggers`; `jumps` as `FreshEvents.jumps`."""
    day, age = today.day, today.age
    sums = np.empty(_LONGEST)
    inflow_only = np.zeros(len(FLOW_KEYS), dtype=np.bool_)
    inflow_only[_INFLOW] = True
    own = ~tables.debts
    active, watched, amounts = tables.active, tables.products, tables.amounts
    for row in range(start, stop):
        position, found, mine = positions[row], np.uint16(0), figures[row]
        mine[:] = np.nan
        if active[MATURING]:
            product, when = _due(
                log, position, fresh_rows[row], fresh, watched[MATURING], day, np.int64(amounts[MATURING, 2])
            )
            if product >= 0:
                now, _ = _balance(balances, position, age, product)
                found = _note(found, mine, MATURING, now, when - day)
        if active[LARGE_INFLOW]:
            _sums(flows, position, age, inflow_only, np.int64(amounts[LARGE_INFLOW, 2]), sums)
            if jumps[row, 1] == jumps[row, 1]:
                sums[0] = jumps[row, 1] if np.isnan(sums[0]) else sums[0] + jumps[row, 1]
            large, mean = _inflow(sums, tables)
            if large:
                found = _note(found, mine, LARGE_INFLOW, sums[0], mean)
        for trigger in (SALARY_STARTED, SALARY_STOPPED):
            if active[trigger]:
                within = np.int64(amounts[trigger, 2])
                ago = _changed(words[row], watched[trigger], within, trigger == SALARY_STARTED)
                if ago >= 0:
                    found = _note(found, mine, trigger, ago, np.nan)
        if active[LOAN_NEARLY_REPAID]:
            holds, owed, days = _loan(row, position, words, balances, age, log, fresh_rows[row], fresh, tables, day)
            if holds:
                found = _note(found, mine, LOAN_NEARLY_REPAID, owed, days)
        if active[BALANCE_FALLING]:
            _sums(balances, position, age, own, np.int64(amounts[BALANCE_FALLING, 2]), sums)
            falls, mean = _falling(np.float64(assets[row]), sums, tables)
            if falls:
                found = _note(found, mine, BALANCE_FALLING, assets[row], mean)
        if active[NEXT_TIER] and tables.tier_kinds[kinds[row]] and tiers[row] >= 0:
            threshold = tables.next_assets[tiers[row]]
            if np.float64(assets[row]) >= (1 - amounts[NEXT_TIER, 0]) * threshold:
                found = _note(found, mine, NEXT_TIER, threshold - assets[row], threshold)
        if active[LIFE_STAGE_BIRTHDAY] and kinds[row] == RETAIL:
            born = birth_dates[versions[row]]
            if born != MISSING_DAY:
                years, until = _birthday(born, tables.birthdays, day, np.int64(amounts[LIFE_STAGE_BIRTHDAY, 2]))
                if years >= 0:
                    found = _note(found, mine, LIFE_STAGE_BIRTHDAY, years, until)
        bits[row] = found
