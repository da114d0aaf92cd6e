"""``decide()``: from what is known of a block of customers to what each is offered. One path for every use."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from training import Bundle, scores_at, top_k


@dataclass(frozen=True)
class Versions:
    """What a decision was made with.

    Attributes
    ----------
    model : version of the bundle in the registry
    states : the build of customer states
    as_of : the last day whose facts the states know
    """

    model: str
    states: str
    as_of: str

    def to_dict(self) -> dict[str, str]:
        """For JSON and for the columns of a list."""
        return asdict(self)


@dataclass(frozen=True)
class Decisions:
    """What each customer of a block is offered, best first.

    Attributes
    ----------
    positions : int64, shape (n_customers,); rows of the states
    products : int32, shape (n_customers, limit); product positions, -1: nothing more to offer
    propensities : float32, shape (n_customers, limit); calibrated probability of acquisition within the horizon,
        0 where there is nothing to offer
    versions : what the decisions were made with
    """

    positions: NDArray[np.int64]
    products: NDArray[np.int32]
    propensities: NDArray[np.float32]
    versions: Versions


def decide(
    bundle: Bundle,
    block: CustomerBlock,
    versions: Versions,
    *,
    limit: int,
    products: NDArray[np.bool_] | None = None,
) -> Decisions:
    """Rank the candidates of each customer by propensity; ties go to the lower product id.

    Parameters
    ----------
    limit : offers a customer gets at most
    products : shape (n_products,); the products in question, by default all
    """
    propensities = bundle.propensities(block)
    candidates = block.candidates if products is None else block.candidates & products
    ranked = top_k(propensities, candidates, limit)
    return Decisions(block.positions, ranked, np.nan_to_num(scores_at(propensities, ranked)), versions)
