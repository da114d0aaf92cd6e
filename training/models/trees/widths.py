"""Trees are scored by code of its own for each width that their masks come in, which is that of the largest tree: a
model fitted on few customers has narrower ones than the next."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from itertools import product

import numpy as np

from ..propensity import Propensity
from .ensemble import ScoringEngine

_ANY, _CHOICE = (8, 16, 32, 64), (8, 16)
"""Bits, and so leaves, up to which the two kinds of trees are tuned."""


def of_every_width(model: Propensity) -> Iterator[Propensity]:
    """`model` with masks as wide as those of larger trees, which say the same."""
    for any_bits, choice_bits in product(_ANY, _CHOICE):
        other = copy(model)
        other._learners = {
            kind: replace(learners, any=_widened(learners.any, any_bits), choice=_widened(learners.choice, choice_bits))
            for kind, learners in model._learners.items()
        }
        other._explainers, other._summed = {}, None
        yield other


def _widened(engine: ScoringEngine | None, bits: int) -> ScoringEngine | None:
    if engine is None or engine.ensemble is None or engine.ensemble.split_masks.dtype.itemsize * 8 > bits:
        return engine
    masks = engine.ensemble.split_masks.astype(np.dtype(f"uint{bits}"))
    return replace(engine, ensemble=replace(engine.ensemble, split_masks=masks))
