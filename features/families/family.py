"""What a feature family is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..states import CustomerStates


@dataclass(frozen=True)
class Feature:
    """One column of the feature block.

    Attributes
    ----------
    name : ``group`` alone, or ``group:key`` where there is one for each product, channel or attribute
    meaning : one line that a data scientist who has not read the code understands
    dtype : what the float32 values are: flag, count, periods, years, share, amount, log_ratio, code, number
    """

    name: str
    meaning: str
    dtype: str

    @property
    def group(self) -> str:
        """What the columns of one computation share: the name up to the colon."""
        return self.name.partition(":")[0]


class FeatureFamily(ABC):
    """Computes related features of a block, seeing only what the block's states knew at its period."""

    name: ClassVar[str]

    def __init__(self, states: CustomerStates) -> None:
        self.features = tuple(self.define(states))

    @abstractmethod
    def define(self, states: CustomerStates) -> list[Feature]:
        """The features that these states give, in the order of their columns."""

    @abstractmethod
    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Write the features of `block` into `out`, float32, shape (n_customers, len(features)), filled with NaN."""
