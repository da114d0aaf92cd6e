"""What every uplift learner is: ``fit`` on trials, ``effects`` of a block, files, no pickle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.errors import BadInput, NotReady

from ..models.protocol import CONFIG_FILE
from .config import UpliftConfig
from .design import Design
from .trials import Trials

_DESIGN_FILE = "design.npz"


class UpliftLearner(ABC):
    """Says what a contact changes: P(acquisition | contacted) - P(acquisition | not contacted).

    Subclasses set `name` and implement `_fit`, `_effects`, `_save` and `_load`; this class keeps the checks that all of
    them share.
    """

    name: ClassVar[str]

    def __init__(self, config: UpliftConfig | None = None) -> None:
        self.config = config or UpliftConfig()
        self.design: Design | None = None

    def fit(self, trials: Trials) -> Self:
        """Learn from `trials`.

        Raises
        ------
        BadInput : when they do not have both arms, or nothing was acquired, or everything
        """
        arms, acquired = trials.treated, trials.acquired
        if not len(trials) or arms.all() or not arms.any():
            raise BadInput(f"{self.name}: effects need contacts of both arms, treated and control")
        if acquired.all() or not acquired.any():
            raise BadInput(
                f"{self.name}: after {len(trials):,} contacts all or none acquired: there is no effect to see"
            )
        self._fit(trials)
        self.design = trials.design
        return self

    def effects(self, block: CustomerBlock, propensities: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Effects of contacting the customers of `block` about each product.

        Parameters
        ----------
        propensities : float32, shape (n_customers, n_products); calibrated probabilities of acquisition, needed where
            the trials had them

        Returns
        -------
        float32, shape (n_customers, n_products); change in the probability of acquisition within the horizon; 0 for
        what is not a candidate
        """
        design = self._fitted()
        if block.n_products != design.n_products:
            raise BadInput(
                f"{self.name} was fitted on {design.n_products} products but the block has {block.n_products}: "
                "train again on the present catalogue"
            )
        return self.effects_of(block.features, block.candidates, np.arange(block.n_products), propensities)

    def effects_of(
        self,
        features: NDArray[np.float32],
        candidates: NDArray[np.bool_],
        products: NDArray[np.int64],
        propensities: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The same from arrays, for a catalogue that has moved on.

        Parameters
        ----------
        features : float32, shape (n, F); the features of the fit
        candidates : bool, shape (n, P)
        products : int64, shape (P,); position among the products of the fit, -1: a product that was not there, whose
            effect is that of any product
        propensities : float32, shape (n, P)

        Returns
        -------
        float32, shape (n, P)
        """
        design = self._fitted()
        effects = np.zeros(candidates.shape, dtype=np.float32)
        for column, product in enumerate(products.tolist()):
            asked = np.flatnonzero(candidates[:, column])
            if len(asked):
                likely = None if propensities is None else propensities[asked, column]
                rows = design.rows(features[asked], np.full(len(asked), product), likely)
                effects[asked, column] = self.effects_at(rows)
        return effects

    def effects_at(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Float64, shape (n,): effects for rows of the trials' design."""
        self._fitted()
        return np.clip(self._effects(rows), -1.0, 1.0)

    def _fitted(self) -> Design:
        if self.design is None:
            raise NotReady(f"{self.name} has not been fitted: call fit() or load() first")
        return self.design

    def save(self, folder: Path) -> None:
        """Write config, design and models into `folder`, which must exist and be empty."""
        (folder / CONFIG_FILE).write_text(self.config.model_dump_json(indent=2), encoding="utf-8")
        self._fitted().save(folder / _DESIGN_FILE)
        self._save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        learner = cls(UpliftConfig.model_validate_json((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        learner.design = Design.load(folder / _DESIGN_FILE)
        learner._load(folder)
        return learner

    @abstractmethod
    def _fit(self, trials: Trials) -> None:
        """Compute and keep what `_effects` needs."""

    @abstractmethod
    def _effects(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Shape (n,)."""

    @abstractmethod
    def _save(self, folder: Path) -> None:
        """Write the fitted models."""

    @abstractmethod
    def _load(self, folder: Path) -> None:
        """Read the fitted models."""
