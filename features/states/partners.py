"""Payment partners through time: who paid whom in which of the last 64 periods."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..kernels import kernel
from .arrays import load_arrays, row_pointers, save_arrays

_ARRAYS = ("indptr", "partners", "words")


@dataclass(frozen=True)
class PartnerHistory:
    """A CSR list, customers by partners, of history words: bit k is set when money moved between the two, in either
    direction, k periods before the newest.

    Attributes
    ----------
    indptr : int64, shape (n_customers + 1,)
    partners : int64, shape (n_links,); positions of the other customers
    words : uint64, shape (n_links,)
    """

    indptr: NDArray[np.int64]
    partners: NDArray[np.int64]
    words: NDArray[np.uint64]

    @classmethod
    def from_rows(
        cls,
        n_customers: int,
        customers: NDArray[np.int64],
        partners: NDArray[np.int64],
        ages: NDArray[np.int32],
    ) -> PartnerHistory:
        """Pack rows, sorted by customer and partner, of periods in which the two paid."""
        first = np.ones(len(customers), dtype=np.bool_)
        first[1:] = (customers[1:] != customers[:-1]) | (partners[1:] != partners[:-1])
        starts = np.flatnonzero(first)
        bits = np.uint64(1) << ages.astype(np.uint64)
        words = np.bitwise_or.reduceat(bits, starts) if len(starts) else np.zeros(0, dtype=np.uint64)
        return cls(row_pointers(customers[first], n_customers), partners[first], words)

    def of(self, positions: NDArray[np.int64], age: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Partners with whom money moved in the `window` periods up to `age` periods before the newest.

        Returns
        -------
        indptr : int64, shape (len(positions) + 1,)
        partners : int64; positions
        """
        mask = ((np.uint64(1) << np.uint64(window)) - np.uint64(1)) << np.uint64(age)
        return _within(positions, self.indptr, self.partners, self.words, mask)

    def save(self, folder: Path) -> None:
        """One .npy file an array."""
        save_arrays(folder, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> PartnerHistory:
        """Map what `save` wrote."""
        return cls(**load_arrays(folder, *_ARRAYS))


@kernel
def _within(positions, indptr, partners, words, mask):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(positions) + 1, dtype=np.int64)
    for row in range(len(positions)):
        for link in range(indptr[positions[row]], indptr[positions[row] + 1]):
            if words[link] & mask:
                counts[row + 1] += 1
    found_indptr = np.cumsum(counts)
    found = np.empty(found_indptr[-1], dtype=np.int64)
    at = 0
    for row in range(len(positions)):
        for link in range(indptr[positions[row]], indptr[positions[row] + 1]):
            if words[link] & mask:
                found[at] = partners[link]
                at += 1
    return found_indptr, found
