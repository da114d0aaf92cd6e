"""What an uplift model looks at in a contact: the customer, the customer's past with the product, the product.

Trials per product are few, so all products are learned from together. What the features say of each product apart
(``segment_acquisition_rate:mortgage``) becomes one column that says it of the product the contact is about.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features import Catalogue, CustomerStates, feature_set_of
from features.contracts import KINDS, RISK_RATINGS
from features.errors import BadInput

_LEAST_LIKELY = np.float32(1e-5)


@dataclass(frozen=True)
class Design:
    """How a row is made of a customer's features and a product.

    Attributes
    ----------
    customer_columns : int64, shape (C,); features that speak of the customer
    product_columns : int64, shape (G, P); for each group of features that has one for each product, the feature of
        that product; -1: it has none
    products : float32, shape (P, A); attributes of the products, NaN: missing
    with_propensity : a row ends with the log-odds of the customer's propensity for the product
    """

    customer_columns: NDArray[np.int64]
    product_columns: NDArray[np.int64]
    products: NDArray[np.float32]
    with_propensity: bool = False

    @classmethod
    def of(cls, states: CustomerStates, *, with_propensity: bool = False) -> Design:
        """The design for the features and the catalogue of `states`."""
        product_ids = {product_id: position for position, product_id in enumerate(states.catalogue.product_ids)}
        customer: list[int] = []
        groups: dict[str, NDArray[np.int64]] = {}
        for column, feature in enumerate(feature_set_of(states).features):
            if feature.product:
                own = groups.setdefault(feature.group, np.full(len(product_ids), -1, dtype=np.int64))
                own[product_ids[feature.product]] = column
            else:
                customer.append(column)
        return cls(
            np.array(customer, dtype=np.int64),
            np.array(list(groups.values()), dtype=np.int64).reshape(len(groups), len(product_ids)),
            _attributes(states.catalogue),
            with_propensity,
        )

    @classmethod
    def plain(cls, width: int) -> Design:
        """The design of rows that are features of customers and nothing else, about one product."""
        return cls(np.arange(width), np.zeros((0, 1), dtype=np.int64), np.zeros((1, 0), dtype=np.float32))

    @property
    def n_products(self) -> int:
        """Products that a row may be about."""
        return len(self.products)

    @property
    def width(self) -> int:
        """Columns of a row: C + G + A, and one for the propensity."""
        return (
            len(self.customer_columns) + len(self.product_columns) + self.products.shape[1] + int(self.with_propensity)
        )

    def rows(
        self,
        features: NDArray[np.float32],
        products: NDArray[np.int64],
        propensities: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """One row for each customer and product.

        Parameters
        ----------
        features : float32, shape (n, F); of the customers
        products : int64, shape (n,); -1: a product that the design does not know
        propensities : float32, shape (n,); probability of acquisition, needed by a design `with_propensity`

        Returns
        -------
        float32, shape (n, width)

        Raises
        ------
        BadInput : when the propensities are missing
        """
        if self.with_propensity and propensities is None:
            raise BadInput("the uplift model was fitted beside propensities: give those of the block as well")
        n, known = len(features), products >= 0
        own = np.where(known, self.product_columns[:, products], -1).T
        ends = np.cumsum([len(self.customer_columns), own.shape[1], self.products.shape[1]])
        rows = np.empty((n, self.width), dtype=np.float32)
        rows[:, : ends[0]] = features[:, self.customer_columns]
        rows[:, ends[0] : ends[1]] = np.where(
            own < 0, np.float32(np.nan), features[np.arange(n)[:, None], np.maximum(own, 0)]
        )
        rows[:, ends[1] : ends[2]] = np.where(known[:, None], self.products[products], np.float32(np.nan))
        if self.with_propensity and propensities is not None:
            clipped = np.clip(propensities, _LEAST_LIKELY, np.float32(1) - _LEAST_LIKELY)
            rows[:, -1] = np.log(clipped / (1 - clipped))
        return rows

    def log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Float64, shape (n,): of the propensities in `rows`; 0 without them."""
        if not self.with_propensity:
            return np.zeros(len(rows))
        return rows[:, -1].astype(np.float64)

    def save(self, path: Path) -> None:
        """Write as .npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Design:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            values = {field.name: arrays[field.name] for field in fields(cls)}
        return cls(**values | {"with_propensity": bool(values["with_propensity"])})


def _attributes(catalogue: Catalogue) -> NDArray[np.float32]:
    """Family (its rank by name), kind of customer, risk rating, margin a year and minutes of a contact."""
    families = catalogue.families
    sold_to = (*KINDS, "both")
    rows = [
        (
            families.index(product.family),
            sold_to.index(product.customer_kind),
            np.nan if product.risk_rating is None else RISK_RATINGS.index(product.risk_rating),
            np.nan if product.annual_margin is None else product.annual_margin,
            np.nan if product.contact_minutes is None else product.contact_minutes,
        )
        for product in catalogue.products
    ]
    return np.array(rows, dtype=np.float32).reshape(len(rows), 5)
