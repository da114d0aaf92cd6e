"""The first two layers: is the product a candidate, and does the customer meet its conditions?"""

from __future__ import annotations

import numpy as np

from features.kernels import kernel

from ..reason_codes import Reason

_HELD, _NOT_ON_SALE, _WRONG_KIND = Reason.HELD.bit, Reason.NOT_ON_SALE.bit, Reason.WRONG_CUSTOMER_KIND.bit
_TOO_YOUNG, _TOO_OLD = Reason.TOO_YOUNG.bit, Reason.TOO_OLD.bit
_TIER, _BALANCE = Reason.TIER_TOO_LOW.bit, Reason.BALANCE_TOO_LOW.bit
_MISSING, _EXCLUDED = Reason.MISSING_PREREQUISITE.bit, Reason.EXCLUDED_BY_HOLDING.bit


@kernel
def rows(start, stop, words, groups, kinds, ages, tiers, assets, tables, reasons):  # type: ignore[no-untyped-def]
    """Write the reasons of both layers into some rows of `reasons`, uint32, shape (n_customers, n_products)."""
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
