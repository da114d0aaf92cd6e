"""The recommender: a champion bundle over current states, answering for one customer or streaming over all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates
from features.states import current_states
from training import CHAMPION, Bundle, Tracking

from .decisions import Decisions, Versions, decide


@dataclass(frozen=True)
class Suggestion:
    """One product for one customer."""

    rank: int
    product_id: str
    name: str
    name_zh: str | None
    family: str
    propensity: float


@dataclass(frozen=True)
class Recommendation:
    """What one customer is offered, best first, and what that was decided with."""

    customer_id: str
    suggestions: tuple[Suggestion, ...]
    versions: Versions

    def to_dict(self) -> dict[str, Any]:
        """As the service and ``nextproduct recommend --json`` give it."""
        return {
            "customer_id": self.customer_id,
            "recommendations": [suggestion.__dict__ for suggestion in self.suggestions],
            "versions": self.versions.to_dict(),
        }


class Recommender:
    """Champion and states, opened together, so that no answer mixes versions."""

    def __init__(self, states: CustomerStates, bundle: Bundle, model_version: str) -> None:
        self.states = states
        self.bundle = bundle
        self.versions = Versions(model_version, states.manifest.build_id, states.manifest.as_of)

    @classmethod
    def open(cls, workspace: Path, tracking_uri: str | None = None) -> Recommender:
        """Open what is in use in `workspace`.

        Raises
        ------
        NotReady : when states or champion are missing
        """
        states = current_states(workspace)
        version = Tracking(workspace, tracking_uri).version(CHAMPION)
        return cls(states, Bundle.open(version.folder, only_selected=True), version.number)

    def recommend(self, customer_id: str, limit: int) -> Recommendation:
        """Suggestions for one customer, `limit` at most.

        Raises
        ------
        NotFound : when the states have no such customer
        """
        position = np.array([self.states.position_of(customer_id)], dtype=np.int64)
        block = self.states.block(position, self.states.as_of_period)
        decisions = decide(self.bundle, block, self.versions, limit=min(limit, block.n_products))
        catalogue = self.states.catalogue.products
        suggestions = tuple(
            Suggestion(
                rank=rank,
                product_id=catalogue[product].product_id,
                name=catalogue[product].name,
                name_zh=catalogue[product].name_zh,
                family=catalogue[product].family,
                propensity=float(propensity),
            )
            for rank, (product, propensity) in enumerate(
                zip(decisions.products[0], decisions.propensities[0], strict=True), start=1
            )
            if product >= 0
        )
        return Recommendation(customer_id, suggestions, self.versions)

    def stream(self, *, limit: int, products: NDArray[np.bool_] | None = None) -> Iterator[Decisions]:
        """Decisions for everybody, a block at a time, through the same path as one customer's."""
        for block in self.states.blocks(self.states.as_of_period):
            yield decide(self.bundle, block, self.versions, limit=limit, products=products)
