"""Features that a policy keeps from the models, as they are made of attributes that may not be used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock


def unseen(block: CustomerBlock, columns: NDArray[np.int64]) -> CustomerBlock:
    """`block` as if what stands in feature `columns` were not known of anybody."""
    if not len(columns):
        return block
    hidden = replace(block)  # computes features of its own, so that those of `block` stay
    hidden.features[:, columns] = np.nan
    return hidden
