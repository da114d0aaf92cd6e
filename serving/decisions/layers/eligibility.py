"""The first two layers: is the product a candidate, and does the customer meet its conditions?"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from ..reason_codes import Reason
from .facts import CHUNK, FEW, CustomerFacts
from .rule_tables import EligibilityTables

_HELD, _NOT_ON_SALE, _WRONG_KIND = Reason.HELD.bit, Reason.NOT_ON_SALE.bit, Reason.WRONG_CUSTOMER_KIND.bit
_TOO_YOUNG, _TOO_OLD = Reason.TOO_YOUNG.bit, Reason.TOO_OLD.bit
_TIER, _BALANCE = Reason.TIER_TOO_LOW.bit, Reason.BALANCE_TOO_LOW.bit
_MISSING, _EXCLUDED = Reason.MISSING_PREREQUISITE.bit, Reason.EXCLUDED_BY_HOLDING.bit


def exclude(words: NDArray[np.uint64], facts: CustomerFacts, tables: EligibilityTables) -> NDArray[np.uint32]:
    """The reasons of both layers, uint32, shape (n_customers, n_products), of customers whose holdings are `words`."""
    reasons = np.empty(words.shape, dtype=np.uint32)
    arguments = (words, facts.groups, facts.kinds, facts.ages, facts.tiers, facts.assets, tables, reasons)
    if len(words) < FEW:
        _rows(0, len(words), *arguments)
    else:
        _many(*arguments)
    return reasons


@numba.njit(cache=True, nogil=True)
def _rows(start, stop, words, groups, kinds, ages, tiers, assets, tables, reasons):  # type: ignore[no-untyped-def]
    one = np.uint64(1)
    for row in range(start, stop):
        group, age, tier, balance = groups[row], ages[row], tiers[row], assets[row]
        for product in range(words.shape[1]):
            bits = np.uint32(0)
            if words[row, product] & one:
                bits |= _HELD
            if not tables.on_sale[product]:
                bits |= _NOT_ON_SALE
            if not tables.sold_to[kinds[row], product]:
                bits |= _WRONG_KIND
            low, high = tables.min_ages[group, product], tables.max_ages[group, product]
            if age != age:
                if low > -np.inf or high < np.inf:
                    bits |= _TOO_YOUNG
            elif age < low:
                bits |= _TOO_YOUNG
            elif age > high:
                bits |= _TOO_OLD
            if tier < tables.min_tiers[group, product]:
                bits |= _TIER
            least = tables.min_balances[group, product]
            if least > -np.inf and not balance >= least:  # unknown balances are too low
                bits |= _BALANCE
            needed = tables.requires[group, product]
            for place in range(tables.list_starts[needed], tables.list_starts[needed + 1]):
                if not words[row, tables.listed[place]] & one:
                    bits |= _MISSING
            barred = tables.excludes[group, product]
            for place in range(tables.list_starts[barred], tables.list_starts[barred + 1]):
                if words[row, tables.listed[place]] & one:
                    bits |= _EXCLUDED
            reasons[row, product] = bits


@numba.njit(cache=True, nogil=True, parallel=True)
def _many(words, groups, kinds, ages, tiers, assets, tables, reasons):  # type: ignore[no-untyped-def]
    n = len(words)
    for chunk in numba.prange((n + CHUNK - 1) // CHUNK):
        _rows(chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), words, groups, kinds, ages, tiers, assets, tables, reasons)
