"""Attributes that a policy keeps from the models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates, feature_set_of

_DERIVED = "years_since_"  # features of a date have its name behind this


def columns_of(states: CustomerStates, attributes: tuple[str, ...]) -> NDArray[np.int64]:
    """The feature columns that are made of `attributes`."""
    names = {*attributes, *(f"{_DERIVED}{name}" for name in attributes)}
    return np.array([c for c, name in enumerate(feature_set_of(states).names) if name in names], dtype=np.int64)


def unseen(block: CustomerBlock, columns: NDArray[np.int64]) -> CustomerBlock:
    """`block` as if what stands in feature `columns` were not known of anybody."""
    if not len(columns):
        return block
    hidden = replace(block)  # computes features of its own, so that those of `block` stay
    hidden.features[:, columns] = np.nan
    return hidden
