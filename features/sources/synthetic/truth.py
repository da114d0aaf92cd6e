"""The truth of a synthetic bank, apart from its tables: who would acquire what, and what a contact would change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import NotFound, NotReady
from .appetite import lift_table
from .bank import CORPORATE, RETAIL, BlockPlan, SyntheticBank
from .catalogue import catalogue_of, products_of
from .hazard import contacted_probability

_MANIFEST = "manifest.json"


class TruthWriter:
    """Publishes the truth of one block, date by date, into memory-mapped files."""

    def __init__(self, folder: Path, bank: SyntheticBank, plan: BlockPlan, response: NDArray[np.int8]) -> None:
        self._first = bank.published_periods.start
        n_periods, n_products = len(bank.published_periods), len(catalogue_of(bank, plan.kind))
        self._probability = np.lib.format.open_memmap(
            _path(folder, "probability", plan.part), "w+", np.float16, (n_periods, plan.size, n_products)
        )
        self._wear = np.lib.format.open_memmap(
            _path(folder, "wear", plan.part), "w+", np.float16, (n_periods, plan.size)
        )
        np.save(_path(folder, "response", plan.part), response)

    def write(self, period: int, probability: NDArray[np.float32], wear: NDArray[np.float32]) -> None:
        """Publish `probability` (n, P) and `wear` (n,), both already rounded to half precision, as of `period`."""
        self._probability[period - self._first] = probability
        self._wear[period - self._first] = wear

    def close(self) -> None:
        """Hand everything to the disk."""
        self._probability.flush()
        self._wear.flush()


def write_manifest(folder: Path, bank: SyntheticBank) -> None:
    """Say what the truth's files hold."""
    manifest = {
        "first_period": bank.published_periods.start,
        "n_periods": len(bank.published_periods),
        "product_ids": [product.product_id for product in products_of(bank)],
        "products": {kind: list(catalogue_of(bank, kind).product_ids) for kind in (RETAIL, CORPORATE)},
        "lifts": {kind: lift_table(kind, catalogue_of(bank, kind)).tolist() for kind in (RETAIL, CORPORATE)},
        "blocks": [vars(plan) for plan in bank.blocks],
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Truth:
    """The true probabilities and effects of a synthetic bank (n customers, P products).

    Attributes
    ----------
    folder : where the files are
    periods : the months at whose ends the truth is published
    product_ids : ascending; the columns of every array
    customer_ids : ascending; the rows of every array
    """

    folder: Path
    periods: range
    product_ids: tuple[str, ...]
    customer_ids: NDArray[np.str_]
    _blocks: tuple[BlockPlan, ...]
    _columns: dict[str, NDArray[np.intp]]
    _lifts: dict[str, NDArray[np.float32]]

    @classmethod
    def open(cls, folder: Path) -> Truth:
        """Open the truth folder of a synthetic bank.

        Raises
        ------
        NotReady : there is none
        """
        if not (folder / _MANIFEST).is_file():
            raise NotReady(f"no truth in {folder}: only a synthetic bank publishes it; generate one first")
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        first, product_ids = manifest["first_period"], tuple(manifest["product_ids"])
        blocks = tuple(BlockPlan(**plan) for plan in manifest["blocks"])
        return cls(
            folder=folder,
            periods=range(first, first + manifest["n_periods"]),
            product_ids=product_ids,
            customer_ids=np.concatenate([plan.customer_ids for plan in blocks]),
            _blocks=blocks,
            _columns={
                kind: np.array([product_ids.index(product_id) for product_id in ids])
                for kind, ids in manifest["products"].items()
            },
            _lifts={kind: np.array(lifts, dtype=np.float32) for kind, lifts in manifest["lifts"].items()},
        )

    def probability(self, period: int) -> NDArray[np.float32]:
        """Float32 (n, P): probability of an acquisition in the month after `period` when not contacted.

        0 where the product is not a candidate, the customer may not have it, or is not (or no longer) a customer.

        Raises
        ------
        NotFound : the truth of `period` is not published
        """
        self._check(period)
        result = np.zeros((len(self.customer_ids), len(self.product_ids)), dtype=np.float32)
        for plan, rows in self._rows():
            result[rows, self._columns[plan.kind]] = self._block_probability(plan, period)
        return result

    def effect(self, period: int) -> NDArray[np.float32]:
        """Float32 (n, P): the same probability when contacted in the month after `period`, minus when not.

        Raises
        ------
        NotFound : the truth of `period` is not published
        """
        self._check(period)
        result = np.zeros((len(self.customer_ids), len(self.product_ids)), dtype=np.float32)
        for plan, rows in self._rows():
            probability = self._block_probability(plan, period)
            wear = np.load(_path(self.folder, "wear", plan.part), mmap_mode="r")[period - self.periods.start]
            response = np.load(_path(self.folder, "response", plan.part))
            shift = self._lifts[plan.kind][response] - wear.astype(np.float32)[:, None]
            result[rows, self._columns[plan.kind]] = contacted_probability(probability, shift) - probability
        return result

    def _check(self, period: int) -> None:
        if period not in self.periods:
            raise NotFound(
                f"no truth is published as of period {period}, only for {self.periods.start} to {self.periods.stop - 1}"
            )

    def _rows(self) -> list[tuple[BlockPlan, slice]]:
        ends = np.cumsum([plan.size for plan in self._blocks])
        return [(plan, slice(end - plan.size, end)) for plan, end in zip(self._blocks, ends.tolist(), strict=True)]

    def _block_probability(self, plan: BlockPlan, period: int) -> NDArray[np.float32]:
        stored = np.load(_path(self.folder, "probability", plan.part), mmap_mode="r")
        return stored[period - self.periods.start].astype(np.float32)


def _path(folder: Path, name: str, part: int) -> Path:
    return folder / f"{name}-{part:05d}.npy"
