"""Point-in-time training rows: what was known of a customer at a date, and what the customer acquired after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from features import BLOCK_SIZE, CustomerBlock, CustomerStates, block_of, blocks_of
from features.errors import BadInput


@dataclass(frozen=True)
class Batch:
    """A block of customers and what each of them acquired within the horizon.

    Attributes
    ----------
    block : what was known
    acquired : bool, shape (n_customers, n_products); true only at candidates
    """

    block: CustomerBlock
    acquired: NDArray[np.bool_]

    def of_acquirers(self) -> Batch:
        """The customers who acquired something."""
        rows = np.flatnonzero(self.acquired.any(axis=1))
        return Batch(self.block.take(rows), self.acquired[rows])


class Examples(ABC):
    """What a model learns from.

    Attributes
    ----------
    states : where the blocks come from
    """

    states: CustomerStates

    @property
    def n_products(self) -> int:
        """Products of the catalogue."""
        return len(self.states.catalogue)

    @property
    def n_segments(self) -> int:
        """Groups of similar customers; `block.segments` is below it."""
        return self.states.n_segments

    @property
    @abstractmethod
    def latest_period(self) -> int:
        """The last period whose facts the examples use, labels included."""

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """Every customer known at each training date, oldest date first."""

    @abstractmethod
    def holdings(self) -> sp.csr_array:
        """Float32, shape (n_customers, n_products): 1 where held at the end of `latest_period`."""


@dataclass(frozen=True)
class DatedExamples(Examples):
    """Examples from holdings through time: looked from each of `periods`, labelled by the `horizon` after it.

    Raises
    ------
    BadInput : when a label period lies after the states, so that its acquisitions are not all known yet
    """

    states: CustomerStates
    periods: tuple[int, ...]
    horizon: int

    def __post_init__(self) -> None:
        if not self.periods:
            raise BadInput("there is no period to learn from or to evaluate on")
        if self.latest_period > self.states.as_of_period:
            raise BadInput(
                f"acquisitions up to {self.states.calendar.end_of(self.latest_period)} are not known yet: "
                f"the states end at {self.states.manifest.as_of}"
            )

    @property
    def latest_period(self) -> int:
        """The last period of the labels."""
        return max(self.periods) + self.horizon

    def batches(self) -> Iterator[Batch]:
        """Every customer known at each period, a block at a time, oldest period first."""
        for period in sorted(self.periods):
            for block in blocks_of(self.states, period):
                acquired = self.states.history.opened_within(block.positions, period, self.horizon)
                yield Batch(block, acquired & block.candidates)

    def holdings(self) -> sp.csr_array:
        """What was held, as known at the end of `latest_period`."""
        return self.states.history.holdings_at(self.latest_period)


@dataclass(frozen=True)
class HiddenHoldings(Examples):
    """Examples from undated holdings: hide a held product and ask for it back.

    Attributes
    ----------
    positions : int64, shape (n_customers,); whose holdings may be seen
    once : hide one product of each customer, drawn with `seed`, instead of each of them in turn
    """

    states: CustomerStates
    positions: NDArray[np.int64]
    once: bool = False
    seed: int = 0

    @property
    def latest_period(self) -> int:
        """The only period there is."""
        return self.states.as_of_period

    def batches(self) -> Iterator[Batch]:
        """One row for each product hidden."""
        drawn = np.random.default_rng(self.seed)
        for start in range(0, len(self.positions), BLOCK_SIZE):
            whole = block_of(self.states, self.positions[start : start + BLOCK_SIZE], self.latest_period)
            # a product no longer on sale cannot be asked back
            askable = whole.held & whole.without(whole.held).candidates
            rows, products = np.nonzero(askable)
            if self.once:
                ranks = drawn.random(len(rows))
                order = np.lexsort((ranks, rows))
                _, first = np.unique(rows[order], return_index=True)
                rows, products = rows[order][first], products[order][first]
            if not len(rows):
                continue
            hidden = np.zeros((len(rows), self.n_products), dtype=np.bool_)
            hidden[np.arange(len(rows)), products] = True
            yield Batch(whole.take(rows).without(hidden), hidden)

    def holdings(self) -> sp.csr_array:
        """What the customers at `positions` hold; nothing of anybody else."""
        everyone = self.states.history.holdings_at(self.latest_period)
        seen = np.zeros(self.states.n_customers, dtype=np.float32)
        seen[self.positions] = 1.0
        visible = sp.csr_array(sp.diags_array(seen) @ everyone)
        visible.eliminate_zeros()
        return visible
