"""Candidates: products a customer could acquire at a date. Not held, on sale, and for this kind of customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .contracts import KIND, KINDS

if TYPE_CHECKING:
    from .states import CustomerStates


def candidates_of(
    states: CustomerStates, words: NDArray[np.uint64], versions: NDArray[np.int64], period: int
) -> NDArray[np.bool_]:
    """Shape of `words` (n_customers, n_products): what could be acquired after the end of `period`.

    A customer of unknown kind, one whom the bank did not know yet, may acquire what is sold to any kind.
    """
    on_sale = states.catalogue.on_sale(states.calendar.end_of(period))
    sold_to = np.vstack([states.catalogue.for_kind(), np.ones((1, len(on_sale)), dtype=np.bool_)]) & on_sale
    kind = np.where(versions < 0, len(KINDS), states.profile.codes[KIND][np.maximum(versions, 0)])
    return ((words & np.uint64(1)) == 0) & sold_to[np.where(kind < 0, len(KINDS), kind)]
