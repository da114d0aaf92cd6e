"""Amounts through time: for each customer and key (a product, a channel) one value a period."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..chunks import CHUNK, FEW
from ..kernels import kernel
from .arrays import load_arrays, save_arrays


@dataclass(frozen=True)
class Panel:
    """A CSR matrix, customers by keys, whose entries are short series.

    Attributes
    ----------
    key_names : what each key stands for
    indptr : int64, shape (n_customers + 1,)
    keys : int16, shape (n_series,)
    values : float32, shape (n_series, depth); column a is the period a before the newest; NaN: nothing recorded
    """

    key_names: tuple[str, ...]
    indptr: NDArray[np.int64]
    keys: NDArray[np.int16]
    values: NDArray[np.float32]

    @classmethod
    def from_rows(
        cls,
        *,
        key_names: tuple[str, ...],
        n_customers: int,
        depth: int,
        customers: NDArray[np.int64],
        keys: NDArray[np.int16],
        ages: NDArray[np.int32],
        values: NDArray[np.float32],
    ) -> Panel:
        """Pack rows sorted by customer and key; `ages` are in ``[0, depth)``."""
        return cls(key_names, *_pack(customers, keys, ages, values, n_customers, depth))

    @property
    def depth(self) -> int:
        """Periods kept."""
        return self.values.shape[1]

    def by_group(
        self,
        positions: NDArray[np.int64],
        ages: NDArray[np.int64],
        groups: NDArray[np.int64],
        n_groups: int,
    ) -> NDArray[np.float32]:
        """Sums over the keys of each group.

        Parameters
        ----------
        ages : int64, shape (n,); the periods to return, each by how many lie between it and the newest one
        groups : int64, shape (n_keys,); the group of each key, -1: left out

        Returns
        -------
        float32, shape (len(positions), n_groups, n); NaN where no key of the group has a value in that period
        """
        out = np.empty((len(positions), n_groups, len(ages)), dtype=np.float32)
        arguments = (positions, self.indptr, self.keys, self.values, ages, groups, out)
        if len(positions) < FEW:
            _sum_groups(0, len(positions), *arguments)
        else:
            _sum_groups_of_many(*arguments)
        return out

    def save(self, folder: Path) -> None:
        """One .npy file an array."""
        save_arrays(folder, indptr=self.indptr, keys=self.keys, values=self.values)

    @classmethod
    def load(cls, folder: Path, key_names: tuple[str, ...]) -> Panel:
        """Map what `save` wrote."""
        return cls(key_names, **load_arrays(folder, "indptr", "keys", "values"))


@kernel
def _pack(customers, keys, ages, values, n_customers, depth):  # type: ignore[no-untyped-def]
    n = len(customers)
    indptr = np.zeros(n_customers + 1, dtype=np.int64)
    n_series = 0
    for i in range(n):
        if i == 0 or customers[i] != customers[i - 1] or keys[i] != keys[i - 1]:
            indptr[customers[i] + 1] += 1
            n_series += 1
    series_keys = np.empty(n_series, dtype=np.int16)
    series = np.full((n_series, depth), np.nan, dtype=np.float32)
    current = -1
    for i in range(n):
        if i == 0 or customers[i] != customers[i - 1] or keys[i] != keys[i - 1]:
            current += 1
            series_keys[current] = keys[i]
        series[current, ages[i]] = values[i]
    for customer in range(n_customers):
        indptr[customer + 1] += indptr[customer]
    return indptr, series_keys, series


@kernel
def _sum_groups(start, stop, positions, indptr, keys, values, ages, groups, out):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        out[row] = np.nan
        for series in range(indptr[positions[row]], indptr[positions[row] + 1]):
            group = groups[keys[series]]
            if group < 0:
                continue
            for step in range(len(ages)):
                if ages[step] >= values.shape[1]:
                    continue
                value = values[series, ages[step]]
                if np.isnan(value):
                    continue
                if np.isnan(out[row, group, step]):
                    out[row, group, step] = value
                else:
                    out[row, group, step] += value


@kernel(parallel=True)
def _sum_groups_of_many(positions, indptr, keys, values, ages, groups, out):  # type: ignore[no-untyped-def]
    n = len(positions)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _sum_groups(chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, indptr, keys, values, ages, groups, out)
