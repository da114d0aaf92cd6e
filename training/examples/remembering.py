"""Examples gone through many times: what was computed for them is kept, as far as memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from features import BLOCK_SIZE, CustomerBlock

from .examples import Batch, DatedExamples, Examples, HiddenHoldings

REMEMBERED_BYTES = 2_000_000_000
"""What is kept at most, give or take a date."""

_TAKEN = 4  # as many kinds of customers as a block may be taken apart into, twice


@dataclass(frozen=True)
class RememberedBlock(CustomerBlock):
    """A block that gives the same block for the same rows, with the features it may have computed."""

    def take(self, rows: NDArray[np.int64]) -> CustomerBlock:
        """The customers at `rows` of this block, in that order."""
        taken, key = self._taken, rows.tobytes()
        if key not in taken:
            if len(taken) == _TAKEN:
                taken.pop(next(iter(taken)))
            taken[key] = super().take(rows)
        return taken[key]

    @cached_property
    def _taken(self) -> dict[bytes, CustomerBlock]:
        return {}

    @property
    def n_bytes(self) -> int:
        """Of the block, what it computed, and what was taken of it."""
        own = sum(value.nbytes for value in self.__dict__.values() if isinstance(value, np.ndarray))
        taken = sum(block.n_bytes for block in self._taken.values() if isinstance(block, RememberedBlock))
        return own + taken + sum(len(key) for key in self._taken)


def remembered(batch: Batch) -> Batch:
    """The same batch, with a block that remembers."""
    fields = {name: getattr(batch.block, name) for name in CustomerBlock.__dataclass_fields__}
    return Batch(RememberedBlock(**fields), batch.acquired)


class RememberedExamples(Examples):
    """The same rows in the same order as `examples`, whose dates are kept until memory is full.

    The first dates stay and the later ones are made anew in each pass: in a cycle, that is what saves most.
    """

    def __init__(self, examples: Examples, memory: int = REMEMBERED_BYTES) -> None:
        self.examples = examples
        self.states = examples.states
        self._units = _units(examples)
        self._memory = memory
        self._kept: dict[int, list[Batch]] = {}

    @property
    def latest_period(self) -> int:
        """The last period whose facts the examples use, labels included."""
        return self.examples.latest_period

    def holdings(self) -> sp.csr_array:
        """What was held, as known at the end of `latest_period`."""
        return self.examples.holdings()

    def batches(self) -> Iterator[Batch]:
        """The batches of the examples."""
        held = 0
        for number, unit in enumerate(self._units):
            if number not in self._kept and held >= self._memory:
                yield from unit.batches()
                continue
            if number not in self._kept:
                self._kept[number] = [remembered(batch) for batch in unit.batches()]
            for batch in self._kept[number]:
                yield batch
                held += _bytes_of(batch)
            if held > self._memory:
                self._kept.pop(number)


def _units(examples: Examples) -> Sequence[Examples]:
    """Parts that give the same batches one after the other."""
    if isinstance(examples, DatedExamples):
        return [DatedExamples(examples.states, (period,), examples.horizon) for period in sorted(examples.periods)]
    if isinstance(examples, HiddenHoldings) and not examples.once:
        size = BLOCK_SIZE  # as HiddenHoldings goes through them
        return [
            HiddenHoldings(examples.states, examples.positions[start : start + size])
            for start in range(0, len(examples.positions), size)
        ]
    return [examples]


def _bytes_of(batch: Batch) -> int:
    return batch.acquired.nbytes + (batch.block.n_bytes if isinstance(batch.block, RememberedBlock) else 0)
