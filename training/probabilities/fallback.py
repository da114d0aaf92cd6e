"""The fall-back: what to expect of a product that has hardly been acquired yet, or that a bundle does not know at all.

Such a product is taken for what those like it are. Each rung of the chain is a rate of acquisition, shrunk to the rung
above: ``(acquired + k) / (candidates + k / rate above)``, the posterior mean under a gamma prior worth k acquisitions.

1. All products, whoever could acquire them.
2. All products sold to the customer's kind, by customers of that kind.
3. The same, but each product counts by how like it is: its family first, then risk, minimum tier and margin.
4. The same, by customers of the customer's segment.

A product that was for sale and was not acquired is not new but unwanted, so rung 4 is multiplied by ``(acquired + k) /
(expected + k)``: what was acquired of it over what rung 4 says should have been.

What serves is ``(n model + s rung) / (n + s)``, with n the product's acquisitions and ``s = max(ENOUGH - n, 0)``: what
a model says of whom a product is for rests on the n who acquired it. As s falls to 0, an established product is what
its model says, to the last bit, and the order of established products stays.

A customer without a past needs no chain of its own. Models read what is there of holdings and attributes; popularity
and lifts start from the customer's segment, whose rates are shrunk to those of all. Where tier or age is not known,
or the bundle never met the tier, the segment is that of unknown tier or age. A customer whose kind is not known yet
counts as retail, so what is sold to corporate customers alone comes last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import Catalogue
from features.catalogue import Product
from features.contracts import KINDS, RISK_RATINGS

from ..examples import Batch, SegmentCounts

ENOUGH = 5
"""Acquisitions from which on a product stands on its own. On small synthetic banks a larger number ranks no better and
tells the customers of a product apart less well: models shrink what they know little of themselves."""

PRIOR = 2.0
"""Acquisitions that the rung above is worth, k. A gamma prior of shape k spreads by 1 / sqrt(k): products differ from
those like them by a factor of about two, on the synthetic bank."""

OTHER_FAMILY = 0.2
"""What a product of another family counts. Not nothing: a family of two products is known from thousands of
acquisitions and still says little of a third."""

_LEAST = 1e-7  # for whom a product is not meant, though it is a candidate


class Fallback:
    """What the training and validation dates say of every product, and so of any like it."""

    def __init__(self, catalogue: Catalogue, counts: NDArray[np.float64]) -> None:
        """`counts` : shape (2, n_segments, n_products); candidates and acquisitions of the products of `catalogue`."""
        self._catalogue = catalogue
        self._counts = counts
        self._mixture: _Mixture | None = None

    @classmethod
    def learn(cls, catalogue: Catalogue, n_segments: int, batches: Iterable[Batch]) -> Fallback:
        """Count `batches`, whose products are those of `catalogue`."""
        counts = SegmentCounts(n_segments, len(catalogue))
        for batch in batches:
            counts.add(batch)
        return cls(catalogue, counts.totals())

    def acquisitions(self, product_id: str) -> int:
        """How often a product was acquired; 0 if it is not known."""
        if product_id not in self._catalogue.product_ids:
            return 0
        return int(self._counts[1, :, self._catalogue.position_of(product_id)].sum())

    def overall(self) -> NDArray[np.float64]:
        """Acquisitions a candidate of each known product, float64, shape (n_products,), half an acquisition added."""
        candidates, acquired = self._counts.sum(axis=1)
        return np.asarray((acquired + 0.5) / (candidates + 1.0))

    def rates(self, product: Product) -> NDArray[np.float64]:
        """What is to be expected of `product`, known or not, in each segment; float64, shape (n_segments,)."""
        candidates, acquired = self._counts
        own = np.array([other.product_id == product.product_id for other in self._catalogue.products])
        # a product is not to vouch for itself
        others = np.where(own, 0.0, 1.0)
        alike = others * [likeness(product, other) for other in self._catalogue.products]
        of_all = (float(_weighed(acquired, others).sum()) + 0.5) / (float(_weighed(candidates, others).sum()) + 1.0)
        rates = np.full(len(candidates), _LEAST)
        for kind, part in zip(KINDS, np.split(np.arange(len(rates)), len(KINDS)), strict=True):
            if product.customer_kind not in (kind, "both"):
                continue
            any_product = _weighed(acquired[part], others), _weighed(candidates[part], others)
            like_it = _weighed(acquired[part], alike), _weighed(candidates[part], alike)
            of_kind = _shrunk(any_product[0].sum(), any_product[1].sum(), of_all)
            rates[part] = _shrunk(*like_it, _shrunk(like_it[0].sum(), like_it[1].sum(), of_kind))
        expected = (_weighed(candidates, own) * rates).sum()
        rates *= (_weighed(acquired, own).sum() + PRIOR) / (expected + PRIOR)  # 1 if it is not known
        return np.minimum(rates, 1.0)

    def mix(
        self, propensities: NDArray[np.float32], catalogue: Catalogue, segments: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """`propensities`, those of products that do not stand on their own mixed with what is to be expected of them.

        Parameters
        ----------
        propensities : float32, shape (n_customers, n_products), columns as in `catalogue`
        segments : int32, shape (n_customers,); numbered as in the states of the fit
        """
        mixture = self._mixture
        if mixture is None or mixture.catalogue is not catalogue:
            # kept for the next block: whoever asks at the same time computes the same
            mixture = self._mixture = _Mixture.of(catalogue, self)
        return mixture.apply(propensities, segments)

    def save(self, path: Path) -> None:
        """Write to `path`, an ``.npy`` file; the catalogue is kept by the bundle."""
        np.save(path, self._counts)

    @classmethod
    def load(cls, path: Path, catalogue: Catalogue) -> Fallback:
        """Read what `save` wrote."""
        return cls(catalogue, np.load(path, allow_pickle=False))


@dataclass(frozen=True)
class _Mixture:
    """How the products of one catalogue are mixed.

    Attributes
    ----------
    positions : int64, shape (n_mixed,); products that do not stand on their own
    weights : float64, shape (n_mixed,); of what the model says
    rest : float64, shape (n_segments, n_mixed); what is added to that
    """

    catalogue: Catalogue
    positions: NDArray[np.int64]
    weights: NDArray[np.float64]
    rest: NDArray[np.float64]

    @classmethod
    def of(cls, catalogue: Catalogue, fallback: Fallback) -> _Mixture:
        acquired = np.array([fallback.acquisitions(product.product_id) for product in catalogue.products])
        positions = np.flatnonzero(acquired < ENOUGH)
        weights = acquired[positions] / ENOUGH  # n + s is ENOUGH
        rates = [fallback.rates(catalogue.products[position]) for position in positions]
        rest = np.stack(rates, axis=1) * (1 - weights) if rates else np.zeros((1, 0))
        return cls(catalogue, positions, weights, rest)

    def apply(self, propensities: NDArray[np.float32], segments: NDArray[np.int32]) -> NDArray[np.float32]:
        if not len(self.positions):
            return propensities
        mixed = propensities.copy()
        mixed[:, self.positions] = self.weights * propensities[:, self.positions] + self.rest[segments]
        return mixed


def likeness(product: Product, other: Product) -> float:
    """How much `other` says of `product`, up to 1: ``family / (1 + distance)``.

    The distance adds up steps of risk rating, doublings of the annual margin, and 1 for another minimum tier or another
    kind of customer; what is not known of both counts for nothing.
    """
    distance = float(product.min_tier != other.min_tier) + float(product.customer_kind != other.customer_kind)
    if product.risk_rating and other.risk_rating:
        distance += abs(RISK_RATINGS.index(product.risk_rating) - RISK_RATINGS.index(other.risk_rating))
    margins = product.annual_margin or 0.0, other.annual_margin or 0.0
    if min(margins) > 0:
        distance += abs(log2(margins[0] / margins[1]))
    return (1.0 if product.family == other.family else OTHER_FAMILY) / (1.0 + distance)


def _weighed(counts: NDArray[np.float64], weights: NDArray) -> NDArray[np.float64]:
    """Sums over products, shape (n_segments,). Not by BLAS, which may add up in another order elsewhere."""
    return np.asarray((counts * weights).sum(axis=1))


def _shrunk(acquired: Any, candidates: Any, above: Any) -> Any:
    return (acquired + PRIOR) / (candidates + PRIOR / above)
