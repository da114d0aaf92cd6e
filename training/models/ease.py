"""EASE: the linear item-item model whose optimum has a closed form."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

from .portfolios import SimilarityModel
from .protocol import ModelConfig


class EASEConfig(ModelConfig):
    """Settings of EASE."""

    l2: float = Field(default=100.0, gt=0)
    """Strength of the ridge penalty, in customers: a product held by far fewer says little."""


class EASE(SimilarityModel):
    """Each product's holdings as a ridge regression on all others (Steck 2019, "Embarrassingly Shallow Autoencoders").

    Minimises ``|X - X B|^2 + l2 |B|^2`` with a zero diagonal: with ``A = inverse(X'X + l2 I)``,
    ``B = I - A / diag(A)``.
    """

    name: ClassVar[str] = "ease"
    Config: ClassVar[type[ModelConfig]] = EASEConfig
    config: EASEConfig

    def _weights_of(self, holdings: sp.csr_matrix) -> NDArray[np.float64]:
        exact = holdings.astype(np.float64)
        gram = (exact.T @ exact).toarray()
        gram[np.diag_indices_from(gram)] += self.config.l2
        with threadpool_limits(1, "blas"):
            inverse = np.linalg.inv(gram)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return weights
