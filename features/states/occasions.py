"""Occasions: moments at which a customer chose among the products then buyable. For evaluation only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import load_arrays, save_arrays

_ARRAYS = ("customers", "days", "buyable", "bought")

FULLY_AVAILABLE = 10.0
"""Occasions at which everything was buyable, taken as seen before the first recorded one."""


@dataclass(frozen=True)
class Occasions:
    """Choices of customers, oldest first.

    Attributes
    ----------
    customers : int64, shape (n_occasions,); positions
    days : int32, shape (n_occasions,); days since 1970-01-01
    buyable : bool, shape (n_occasions, n_products)
    bought : bool, shape (n_occasions, n_products)
    """

    customers: NDArray[np.int64]
    days: NDArray[np.int32]
    buyable: NDArray[np.bool_]
    bought: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.customers)

    def availability(self, days: NDArray[np.int32]) -> NDArray[np.float32]:
        """How often each product was buyable at the occasions before a day; what was bought then is not looked at.

        ``(n_buyable + FULLY_AVAILABLE) / (n_occasions + FULLY_AVAILABLE)``, over the occasions of earlier days.

        Parameters
        ----------
        days : int32, shape (n,); days since 1970-01-01

        Returns
        -------
        float32, shape (n, n_products), above 0; 1 before the first occasion
        """
        before = np.searchsorted(self.days, days, side="left")
        counts = np.zeros((len(self) + 1, self.buyable.shape[1]))
        np.cumsum(self.buyable, axis=0, out=counts[1:])
        shares = (counts[before] + FULLY_AVAILABLE) / (before[:, None] + FULLY_AVAILABLE)
        return shares.astype(np.float32)

    def save(self, folder: Path) -> None:
        """One .npy file an array."""
        save_arrays(folder, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> Occasions:
        """Map what `save` wrote."""
        return cls(**load_arrays(folder, *_ARRAYS))
