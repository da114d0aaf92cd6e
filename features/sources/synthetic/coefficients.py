"""The form in which the coefficients of a kind of customer are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Pairs:
    """Log-odds from one product to another: (held | just opened | just closed, wanted) -> coefficient."""

    held: Mapping[tuple[str, str], float]
    opened: Mapping[tuple[str, str], float]
    closed: Mapping[tuple[str, str], float]
