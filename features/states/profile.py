"""What a customer is, through time: kind, tier, dates, income, and the bank's own attributes, in versions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..chunks import CHUNK, FEW
from ..contracts import ONBOARDED_ON
from ..errors import NotFound
from ..kernels import kernel
from .arrays import mapped

MISSING_CODE = -1
MISSING_DAY = np.iinfo(np.int32).min
ALWAYS = np.iinfo(np.int32).min
"""The period from which a version without ``valid_from`` holds."""


@dataclass(frozen=True)
class Profile:
    """Versions of customers' attributes, oldest first within a customer.

    Attributes
    ----------
    indptr : int64, shape (n_customers + 1,); where each customer's versions begin
    valid_from : int32, shape (n_versions,); the period from which a version is known
    numbers : float32 columns, shape (n_versions,); NaN: missing
    codes : int32 columns; index into the vocabulary of that column, -1: missing
    days : int32 columns; days since 1970-01-01, `MISSING_DAY`: missing
    vocabularies : the texts that codes stand for
    """

    indptr: NDArray[np.int64]
    valid_from: NDArray[np.int32]
    numbers: dict[str, NDArray[np.float32]]
    codes: dict[str, NDArray[np.int32]]
    days: dict[str, NDArray[np.int32]]
    vocabularies: dict[str, tuple[str, ...]]

    def versions_at(self, positions: NDArray[np.int64], period: int) -> NDArray[np.int64]:
        """Shape (len(positions),): the version known at the end of `period`; -1: the customer was not known yet."""
        versions = np.empty(len(positions), dtype=np.int64)
        arguments = (positions, self.indptr, self.valid_from, period, versions)
        if len(positions) < FEW:
            _find_versions(0, len(positions), *arguments)
        else:
            _find_versions_of_many(*arguments)
        return versions

    def are_known_at(self, positions: NDArray[np.int64], period: int, as_of_day: int) -> NDArray[np.bool_]:
        """Shape (len(positions),): known to the bank at the end of `period`, whose last day is `as_of_day`."""
        versions = self.versions_at(positions, period)
        onboarded = self.days[ONBOARDED_ON][np.maximum(versions, 0)]
        return (versions >= 0) & (onboarded <= as_of_day)

    def known_at(self, period: int, as_of_day: int) -> NDArray[np.int64]:
        """Positions of the customers the bank knew at the end of `period`, whose last day is `as_of_day`."""
        everyone = np.arange(len(self.indptr) - 1, dtype=np.int64)
        return everyone[self.are_known_at(everyone, period, as_of_day)]

    def text(self, column: str, version: int) -> str | None:
        """The text of one version's code."""
        if column not in self.codes:
            raise NotFound(f"no text column {column!r} in the profile; it has: {', '.join(sorted(self.codes))}")
        code = int(self.codes[column][version])
        return None if code == MISSING_CODE else self.vocabularies[column][code]

    def save(self, folder: Path) -> None:
        """One .npy file a column, the vocabularies as JSON."""
        folder.mkdir(parents=True)
        np.save(folder / "indptr.npy", self.indptr)
        np.save(folder / "valid_from.npy", self.valid_from)
        for role in _ROLES:
            (folder / role).mkdir()
            for index, column in enumerate(getattr(self, role).values()):
                np.save(folder / role / f"{index}.npy", column)
        layout = {role: list(getattr(self, role)) for role in _ROLES} | {"vocabularies": self.vocabularies}
        (folder / "layout.json").write_text(json.dumps(layout, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Profile:
        """Map what `save` wrote."""
        layout = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
        columns = {
            role: {name: mapped(folder / role / f"{index}.npy") for index, name in enumerate(layout[role])}
            for role in _ROLES
        }
        return cls(
            indptr=mapped(folder / "indptr.npy"),
            valid_from=mapped(folder / "valid_from.npy"),
            vocabularies={name: tuple(words) for name, words in layout["vocabularies"].items()},
            **columns,
        )


_ROLES = ("numbers", "codes", "days")


@kernel
def _find_versions(start, stop, positions, indptr, valid_from, period, versions):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        version = indptr[positions[row] + 1] - 1
        first = indptr[positions[row]]
        while version >= first and valid_from[version] > period:
            version -= 1
        versions[row] = version if version >= first else -1


@kernel(parallel=True)
def _find_versions_of_many(positions, indptr, valid_from, period, versions):  # type: ignore[no-untyped-def]
    n = len(positions)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _find_versions(chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, indptr, valid_from, period, versions)
