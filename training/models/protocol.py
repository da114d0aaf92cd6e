"""What every model is: a typed config, ``fit`` on point-in-time examples, ``score`` on a block, files, no pickle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features import CustomerBlock
from features.errors import BadInput, NotReady

from ..examples import Examples

CONFIG_FILE = "config.json"


class ModelConfig(BaseModel):
    """Settings of one model. Unknown keys are refused, so a typing error is not silently a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(ABC):
    """Scores every product for every customer of a block.

    Subclasses set `name` and `Config` and implement `_fit`, `_score`, `_save` and `_load`; this class keeps the
    checks that all of them share.
    """

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        self.config = config if config is not None else self.Config()
        self.n_products = 0

    def fit(self, examples: Examples) -> Self:
        """Learn from `examples`.

        Raises
        ------
        BadInput : when there is no product to learn about
        """
        if examples.n_products == 0:
            raise BadInput(f"{self.name}: the catalogue has no products; there is nothing to learn")
        self._fit(examples)
        self.n_products = examples.n_products
        return self

    def score(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Score `block`.

        Returns
        -------
        scores : float32, shape (n_customers, n_products); higher is better. What it says of products that are not
            candidates has no meaning, but is finite.
        """
        self._check(block)
        return self._score(block)

    def _check(self, block: CustomerBlock) -> None:
        if self.n_products == 0:
            raise NotReady(f"{self.name} has not been fitted: call fit() or load() first")
        if block.n_products != self.n_products:
            raise BadInput(
                f"{self.name} was fitted on {self.n_products} products but the block has {block.n_products}: "
                "train again on the present catalogue"
            )

    def save(self, folder: Path) -> None:
        """Write config and arrays into `folder`, which must exist and be empty."""
        (folder / CONFIG_FILE).write_text(self.config.model_dump_json(indent=2), encoding="utf-8")
        np.save(folder / "n_products.npy", np.int64(self.n_products))
        self._save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        model = cls(cls.Config.model_validate_json((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        model.n_products = int(np.load(folder / "n_products.npy", allow_pickle=False))
        model._load(folder)
        return model

    @abstractmethod
    def _fit(self, examples: Examples) -> None:
        """Compute and keep what `_score` needs."""

    @abstractmethod
    def _score(self, block: CustomerBlock) -> NDArray[np.float32]:
        """Shape (n_customers, n_products); the block's products are those of the fit."""

    @abstractmethod
    def _save(self, folder: Path) -> None:
        """Write the fitted arrays."""

    @abstractmethod
    def _load(self, folder: Path) -> None:
        """Read the fitted arrays."""
