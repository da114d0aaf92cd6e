"""What a bundle is judged on: data that neither training nor validation has seen, asked by one of three protocols."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np

from features import BLOCK_SIZE, CustomerStates, block_of
from features.errors import BadInput, NotReady

from .bundle import BundleManifest
from .evaluation import EvaluationBatch
from .examples import HIDE_ONE, OCCASIONS, Batch, DatedExamples, Examples, HiddenHoldings, hide_one_parts


def unseen_batches(states: CustomerStates, *bundles: BundleManifest) -> Iterator[EvaluationBatch]:
    """What none of `bundles` has seen, for comparing them on the same rows.

    ``periods`` asks at every date since for the acquisitions of the following periods; ``occasions`` asks at each
    recorded occasion for what was bought among what was buyable, seeing only what was known at the cut, and how often
    each product was buyable at earlier occasions;
    ``hide-one`` hides one holding of each test customer and asks for it back.

    Raises
    ------
    NotReady : when no period has passed since the bundles were trained
    BadInput : when the bundles are not judged by the same protocol
    """
    protocol = bundles[0].protocol
    if any(bundle.protocol != protocol for bundle in bundles):
        protocols = ", ".join(sorted({bundle.protocol for bundle in bundles}))
        raise BadInput(
            f"models judged by different protocols ({protocols}) cannot be compared: the tables have changed their "
            "nature; use `nextproduct train`"
        )
    trained_to = max(bundle.trained_to for bundle in bundles)
    if protocol == OCCASIONS:
        yield from _occasions(states, trained_to)
        return
    if protocol == HIDE_ONE:
        tests = [hide_one_parts(states, bundle.seed)[2] for bundle in bundles]
        customers = reduce(np.intersect1d, tests)
        examples: Examples = HiddenHoldings(states, customers, once=True, seed=bundles[0].seed)
    else:
        examples = _dated(states, bundles[0], trained_to)
    yield from (EvaluationBatch(batch, batch.block.positions) for batch in examples.batches())


def _dated(states: CustomerStates, bundle: BundleManifest, trained_to: int) -> DatedExamples:
    periods = tuple(range(trained_to, states.as_of_period - bundle.horizon + 1))
    if not periods:
        calendar = states.calendar
        raise NotReady(
            f"there is nothing to evaluate on: the model has seen all up to {calendar.end_of(trained_to)} and the "
            f"states end at {states.manifest.as_of}; bring newer tables, build, and evaluate again"
        )
    return DatedExamples(states, periods, bundle.horizon)


def _occasions(states: CustomerStates, cut: int) -> Iterator[EvaluationBatch]:
    occasions = states.occasions
    later = np.flatnonzero(occasions.days > states.calendar.as_of_day(cut))
    for start in range(0, len(later), BLOCK_SIZE):
        rows = later[start : start + BLOCK_SIZE]
        known = block_of(states, occasions.customers[rows], cut)
        block = known.offered(occasions.buyable[rows], occasions.availability(occasions.days[rows]))
        yield EvaluationBatch(Batch(block, occasions.bought[rows] & occasions.buyable[rows]), block.positions)
