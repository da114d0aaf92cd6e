"""Item-item collaborative filtering: customers are offered the neighbours of what they hold."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from .portfolios import SimilarityModel
from .protocol import ModelConfig


class ItemItemConfig(ModelConfig):
    """Settings of item-item."""

    weighting: Literal["cosine", "tfidf", "bm25"] = "cosine"
    """How a customer's holdings are weighted before products are compared by the customers they share."""

    neighbours: int = Field(default=20, ge=1)
    """Most similar products that each product keeps; itself does not count."""


class ItemItem(SimilarityModel):
    """Nearest neighbours of ``implicit.nearest_neighbours``; a score sums the similarity to each product held."""

    name: ClassVar[str] = "item_item"
    Config: ClassVar[type[ModelConfig]] = ItemItemConfig
    config: ItemItemConfig

    def _weights_of(self, holdings: sp.csr_matrix) -> NDArray[np.float64]:
        # imported here: the service scores without implicit, and it is slow to import
        from implicit.nearest_neighbours import ItemItemRecommender

        nearest = ItemItemRecommender(K=self.config.neighbours + 1, num_threads=1)
        nearest.fit(_weighted(holdings, self.config.weighting), show_progress=False)
        weights = nearest.similarity.toarray().astype(np.float64)
        np.fill_diagonal(weights, 0.0)
        return weights


def _weighted(holdings: sp.csr_matrix, weighting: str) -> sp.csr_matrix:
    """Weigh holdings as implicit's recommenders of the same names do.

    Those themselves warn when fitted: they pass on another sparse format than they ask for.
    """
    from implicit.nearest_neighbours import bm25_weight, normalize, tfidf_weight

    of_products = holdings.T
    if weighting == "bm25":
        weighted = bm25_weight(of_products, K1=1.2, B=0.75)
    else:
        with np.errstate(invalid="ignore"):
            weighted = normalize(of_products if weighting == "cosine" else tfidf_weight(of_products))
    weighted = sp.csr_matrix(weighted.T)
    # a product whose every holder weighs nothing (by TF-IDF, holders of all products but one) has no direction: 0 / 0
    np.nan_to_num(weighted.data, copy=False, nan=0.0)
    return weighted
