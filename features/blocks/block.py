"""A block of customers at one date: what features, models and decisions compute on.

One customer of an RM's request, some thousands of a campaign's stream, or a Spark partition: all are blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..contracts import KIND
from ..states import CustomerStates
from .candidates import candidates_of

_CACHED = {"held", "kinds", "features"}


class BlockFeatures(Protocol):
    """What describes the customers of a block."""

    names: tuple[str, ...]

    def compute(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Shape (n_customers, len(names))."""


@dataclass(frozen=True)
class CustomerBlock:
    """What the bank knew of some customers at the end of one period.

    Attributes
    ----------
    states : where the customers come from
    feature_set : what their features are; it computes them when they are first asked for
    positions : int64, shape (n_customers,); rows of `states`
    period : the period of ``as_of``
    words : uint64, shape (n_customers, n_products); holdings history as known at `period`: bit k is set when the
        product was held k periods before the end of `period`
    versions : int64, shape (n_customers,); the profile version known at `period`; -1: not known yet
    candidates : bool, shape (n_customers, n_products); what could be acquired: not held, on sale, for this kind
        of customer
    segments : int32, shape (n_customers,); the group of similar customers each belongs to
    partly_hidden : some holdings were taken out of `words`; what else would give them away is not to be looked at
    availability : float32, shape (n_customers, n_products), above 0; where `candidates` are what was buyable at an
        occasion: how often each product was, at the occasions before
    """

    states: CustomerStates
    feature_set: BlockFeatures
    positions: NDArray[np.int64]
    period: int
    words: NDArray[np.uint64]
    versions: NDArray[np.int64]
    candidates: NDArray[np.bool_]
    segments: NDArray[np.int32]
    partly_hidden: bool = False
    availability: NDArray[np.float32] | None = None

    @property
    def n_customers(self) -> int:
        """Rows of every array."""
        return self.words.shape[0]

    @property
    def n_products(self) -> int:
        """Columns of the product-wise arrays."""
        return self.words.shape[1]

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """Shape (n_customers, n_products): held at the end of `period`."""
        return (self.words & np.uint64(1)).astype(np.bool_)

    @cached_property
    def kinds(self) -> NDArray[np.int32]:
        """Shape (n_customers,): index into `KINDS`; a customer not known yet counts as retail."""
        kinds = self.states.profile.codes[KIND].take(self.versions, mode="clip")
        kinds[(self.versions < 0) | (kinds < 0)] = 0
        return kinds

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Shape (n_customers, n_features); columns are those of `feature_set`."""
        return self.feature_set.compute(self)

    def take(self, rows: NDArray[np.int64]) -> CustomerBlock:
        """The customers at `rows` of this block, in that order."""
        taken = replace(
            self,
            positions=self.positions[rows],
            words=self.words[rows],
            versions=self.versions[rows],
            candidates=self.candidates[rows],
            segments=self.segments[rows],
            availability=None if self.availability is None else self.availability[rows],
        )
        # what was computed is kept: a block laid out for a model could not compute its features anew
        taken.__dict__.update({name: self.__dict__[name][rows] for name in _CACHED & self.__dict__.keys()})
        return taken

    def without(self, hidden: NDArray[np.bool_]) -> CustomerBlock:
        """The same customers as if they had never had the products in `hidden`, shape (n_customers, n_products)."""
        words = np.where(hidden, np.uint64(0), self.words)
        candidates = candidates_of(self.states, words, self.versions, self.period)
        return replace(self, words=words, candidates=candidates, partly_hidden=True)

    def offered(self, buyable: NDArray[np.bool_], availability: NDArray[np.float32]) -> CustomerBlock:
        """The same customers when only `buyable`, shape (n_customers, n_products), could be bought.

        What is buyable is not held. What is not buyable may be held or may not be for sale to this customer, so the
        holdings stay as they were known.
        """
        words = np.where(buyable, self.words & ~np.uint64(1), self.words)
        return replace(self, words=words, candidates=buyable, availability=availability)
