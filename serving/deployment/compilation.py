"""Compiles ahead what a service would else compile while somebody waits: by answering, for a small bank, all it may be
asked, with each model that may serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features import block_of
from features.build import build_states
from features.clock import Clock
from features.contracts import PRODUCT_ID
from features.errors import NotReady
from features.kernels import watched, why_not_kept
from features.sources.synthetic import SyntheticBank, generate
from training import Bundle, TrainingConfig
from training.jobs.train import fit_bundle
from training.models import Propensity
from training.models.propensity import PropensityConfig
from training.models.trees.widths import of_every_width

from ..answering.engine import DecisionEngine
from ..decisions.policy.loading import demonstration_policy_path, load_policy, standard_policy_path
from .rehearsal import warm_up

_BANK = SyntheticBank(retail=600, corporate=80, periods=16, truth_periods=1)
_TRAINING = TrainingConfig(train_periods=6, propensity=PropensityConfig(any_rounds=12, choice_rounds=6, min_rows=20))
_LIST = 20_000  # customers decided for at once for a target list


@dataclass(frozen=True)
class Compilation:
    """What was done.

    Attributes
    ----------
    compiled : the functions that had to be compiled, one for each kind of arguments
    seconds : it took, with what there was to answer for
    """

    compiled: tuple[str, ...]
    seconds: float


def compile_ahead(say: Callable[[str], None] = lambda name: None) -> Compilation:
    """Have all that a service needs compiled, and kept beside the code or in the user's cache folder.

    Parameters
    ----------
    say : called with what is compiled next

    Raises
    ------
    NotReady : when nothing can be kept
    """
    start, compiled = monotonic(), list[str]()
    with watched(compiled.append), watched(say), TemporaryDirectory(prefix="nextproduct-") as scratch:
        for engine in _small_ones(Path(scratch)):
            _answer_all(engine)
    reason = why_not_kept()
    if reason is not None:
        raise NotReady(f"{reason}: let whoever compiles write there, or name a folder in NUMBA_CACHE_DIR")
    return Compilation(tuple(compiled), monotonic() - start)


def _small_ones(scratch: Path) -> Iterator[DecisionEngine]:
    """Recommenders with each model that may serve and each form of policy; of each model one whose states have another
    catalogue than it was fitted on."""
    generate(_BANK, scratch / "bank")
    tables = scratch / "bank" / "tables"
    states = build_states(tables, scratch / "workspace").states
    _sell_another_product(tables)
    grown = build_states(tables, scratch / "grown").states
    folder = scratch / "bundle"
    folder.mkdir()
    fit_bundle(states, _TRAINING)[0].save(folder)
    clock = Clock.of()
    demonstration, standard = load_policy(demonstration_policy_path()), load_policy(standard_policy_path())
    names = Bundle.open(folder).names
    for name in names:
        bundle = Bundle.open(folder)  # its arrays are as a service has them: read from files
        bundle.manifest = replace(bundle.manifest, selected=name)
        yield DecisionEngine(states, bundle, "0", demonstration, clock)
        yield DecisionEngine(grown, bundle, "0", standard, clock)
    bundle = Bundle.open(folder)
    bundle.manifest = replace(bundle.manifest, selected=Propensity.name)
    propensity = bundle.models[Propensity.name]
    assert isinstance(propensity, Propensity)
    for model in of_every_width(propensity):
        bundle.models[Propensity.name] = model
        yield DecisionEngine(states, bundle, "0", demonstration, clock)


def _sell_another_product(tables: Path) -> None:
    """Add a product that no model has met."""
    path = tables / "products.parquet"
    found = pq.read_table(path)
    another = found.slice(0, 1).to_pylist()[0] | {PRODUCT_ID: "another"}
    pq.write_table(pa.concat_tables([found, pa.Table.from_pylist([another], schema=found.schema)]), path)


def _answer_all(engine: DecisionEngine) -> None:
    """All that is asked of a service about customers, and a target list."""
    warm_up(engine)
    states = engine.states
    many = block_of(states, np.resize(np.arange(states.n_customers), _LIST), states.as_of_period)
    engine.decide(many, engine.context(), limit=1)
