"""What a feature family is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..states import CustomerStates
from .feature import Feature, Title


class Beside(StrEnum):
    """What models read of a block beside its features."""

    HOLDINGS = "history of holdings"
    SEGMENT = "segment"


class FeatureFamily(ABC):
    """Computes related features of a block, seeing only what the block's states knew at its period.

    Attributes
    ----------
    title : what people call the family
    beside : what says the same as the family's features, and is told to a model, or kept from it, with them
    """

    name: ClassVar[str]
    title: ClassVar[Title]
    beside: ClassVar[tuple[Beside, ...]] = ()

    def __init__(self, states: CustomerStates) -> None:
        self.features = tuple(self.define(states))

    @abstractmethod
    def define(self, states: CustomerStates) -> list[Feature]:
        """The features that these states give, in the order of their columns."""

    @abstractmethod
    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """Write the features of `block` into `out`, float32, shape (n_customers, len(features)), filled with NaN."""
