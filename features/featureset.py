"""The feature set: every family's columns side by side, and the dictionary that says what each one is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .families import FAMILIES, Feature

if TYPE_CHECKING:
    from .blocks import CustomerBlock
    from .states import CustomerStates


class FeatureSet:
    """All features that some states give, in a fixed order.

    Attributes
    ----------
    features : one description a column
    names : the columns' names

    Raises
    ------
    BadInput : when an attribute of customers has the name of another feature
    """

    def __init__(self, states: CustomerStates) -> None:
        self._families = [family(states) for family in FAMILIES]
        self.features: tuple[Feature, ...] = tuple(feature for family in self._families for feature in family.features)
        self.names: tuple[str, ...] = tuple(feature.name for feature in self.features)
        twice = sorted(name for name, times in Counter(self.names).items() if times > 1)
        if twice:
            raise BadInput(
                f"the attribute {twice[0]!r} of customers has the name of a feature: give it another one in the table "
                "or in the mapping file, and build again"
            )

    def compute(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Float32, shape (n_customers, n_features); NaN: not known or not applicable."""
        out = np.full((block.n_customers, len(self.features)), np.nan, dtype=np.float32)
        column = 0
        for family in self._families:
            width = len(family.features)
            family.compute(block, out[:, column : column + width])
            column += width
        return out

    def dictionary(self) -> list[dict[str, str]]:
        """Name, family, dtype and meaning of each feature, in order."""
        return [
            {"name": feature.name, "family": family.name, "dtype": feature.dtype, "meaning": feature.meaning}
            for family in self._families
            for feature in family.features
        ]
