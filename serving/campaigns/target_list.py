"""The campaign target list: who may be offered one of some products, by priority, one offer each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import Progress

from features import CustomerStates
from features.contracts import BRANCH_ID, RM_ID
from features.errors import BadInput
from features.files import check_path as check_writable
from features.files import written_aside

from ..answering.engine import DecisionEngine
from ..answering.recommendation import Versions
from ..decisions import FreshEvents

SUFFIXES = (".csv", ".parquet")

_FACTORS = {
    "priority": "priorities",
    "propensity": "propensities",
    "value": "values",
    "context": "contexts",
    "lever": "levers",
}
"""Columns of the list, and what of decisions stands in them."""


def target_list(
    engine: DecisionEngine,
    product_ids: list[str],
    size: int,
    *,
    channel: str | None = None,
    fresh: FreshEvents | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The `size` customer-product pairs of highest priority that the policy allows, each customer at most once.

    Customers who refuse to be personalised are not chosen: a list drawn up by what is known of each would be just that.
    Ties in priority go to the lower customer id, so the same inputs give the same list.

    Parameters
    ----------
    fresh : what happened since the states were built

    Raises
    ------
    NotFound : when a product is not in the catalogue, or the policy has no such channel
    BadInput : when `size` is below 1 or no product is named
    """
    if size < 1:
        raise BadInput(f"a target list of {size} customers cannot be made: give a size of at least 1")
    if not product_ids:
        raise BadInput("name at least one product for the campaign")
    states = engine.states
    chosen = np.zeros(len(states.catalogue), dtype=np.bool_)
    chosen[[states.catalogue.position_of(product_id) for product_id in product_ids]] = True
    task = progress.add_task("Choosing customers", total=states.n_customers) if progress else None

    positions: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    products: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
    factors: NDArray[np.float32] = np.zeros((0, len(_FACTORS)), dtype=np.float32)
    for decisions in engine.stream(limit=1, channel=channel, products=chosen, fresh=fresh):
        offered = (decisions.products[:, 0] >= 0) & decisions.personalised
        positions = np.concatenate([positions, decisions.positions[offered]])
        products = np.concatenate([products, decisions.products[offered, 0]])
        own = np.stack([getattr(decisions, name)[offered, 0] for name in _FACTORS.values()], axis=1)
        factors = np.concatenate([factors, own])
        best = np.lexsort((positions, -factors[:, 0]))[:size]
        positions, products, factors = positions[best], products[best], factors[best]
        if progress and task is not None:
            progress.advance(task, len(decisions.positions))
    if progress and task is not None:
        progress.update(task, completed=states.n_customers)
    return _table(states, engine.versions, positions, products, factors)


def write_list(frame: pd.DataFrame, path: Path) -> None:
    """Write a target list aside and rename it, for its owner's eyes only (mode 0600): Parquet, or CSV with the mark by
    which Excel knows UTF-8.

    Raises
    ------
    BadInput : when `check_path` refuses `path`
    """
    check_path(path)
    with written_aside(path, private=True) as aside:
        if path.suffix == ".csv":
            frame.to_csv(aside, index=False, encoding="utf-8-sig")
        else:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), aside)


def check_path(path: Path) -> None:
    """Refuse a place that a list cannot be written to, before the work of making one.

    Raises
    ------
    BadInput : when the name ends otherwise than in .csv or .parquet, is a folder's, or its folder does not exist
    """
    if path.suffix not in SUFFIXES:
        raise BadInput(f"cannot tell the format of {path}: name it .csv or .parquet")
    check_writable(path)


def _table(
    states: CustomerStates,
    versions: Versions,
    positions: NDArray[np.int64],
    products: NDArray[np.int32],
    factors: NDArray[np.float32],
) -> pd.DataFrame:
    profile_versions = states.profile.versions_at(positions, states.as_of_period)
    catalogue = states.catalogue.products
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(positions) + 1),
            "customer_id": states.ids_of(positions),
            "rm_id": [states.profile.text(RM_ID, version) for version in profile_versions],
            "branch_id": [states.profile.text(BRANCH_ID, version) for version in profile_versions],
            "product_id": [catalogue[product].product_id for product in products],
            "product_name": [catalogue[product].name for product in products],
            "product_name_zh": [catalogue[product].name_zh for product in products],
            **dict(zip(_FACTORS, factors.T, strict=True)),
            "model_version": versions.model,
            "states_build": versions.states,
            "as_of": versions.as_of,
            "policy": versions.policy,
        }
    )
