"""Candidates: products a customer could acquire at a date. Not held, on sale, and for this kind of customer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contracts import KIND
from ..kernels import kernel
from ..states import CustomerStates


def candidates_of(
    states: CustomerStates, words: NDArray[np.uint64], versions: NDArray[np.int64], period: int
) -> NDArray[np.bool_]:
    """Shape of `words` (n_customers, n_products): what could be acquired after the end of `period`.

    A customer of unknown kind, one whom the bank did not know yet, may acquire what is sold to any kind.
    """
    candidates = np.empty(words.shape, dtype=np.bool_)
    _find_candidates(words, versions, states.profile.codes[KIND], states.sold_to[states.age_of(period)], candidates)
    return candidates


@kernel
def _find_candidates(words, versions, kinds, on_sale, candidates):  # type: ignore[no-untyped-def]
    any_kind = len(on_sale) - 1
    for row in range(len(words)):
        kind = any_kind
        if versions[row] >= 0 and kinds[versions[row]] >= 0:
            kind = np.int64(kinds[versions[row]])
        for product in range(words.shape[1]):
            candidates[row, product] = on_sale[kind, product] and (words[row, product] & np.uint64(1)) == 0
