"""Rows to be judged on, and models whose ranking can be seen by eye."""

from types import SimpleNamespace

import numpy as np

from features import CustomerBlock
from training.evaluation import EvaluationBatch
from training.examples import Batch

PERIOD = 24_240


def rows_of(candidates, acquired, clusters=None) -> EvaluationBatch:
    """Customers of whom nothing is known but what they may acquire and what they did."""
    candidates, acquired = np.array(candidates, dtype=bool), np.array(acquired, dtype=bool)
    n_customers = len(candidates)
    positions = np.arange(n_customers) if clusters is None else np.array(clusters)
    block = CustomerBlock(
        states=SimpleNamespace(),
        feature_set=None,
        positions=positions,
        period=PERIOD,
        words=(~candidates).astype(np.uint64),
        versions=np.zeros(n_customers, np.int64),
        candidates=candidates,
        segments=np.zeros(n_customers, np.int32),
    )
    return EvaluationBatch(Batch(block, acquired), positions)


def ranking(*products):
    """A model that ranks `products` first, in that order, for everybody, giving .9, .8, and so on."""

    def score(block: CustomerBlock) -> np.ndarray:
        scores = np.zeros((block.n_customers, block.n_products), dtype=np.float32)
        for rank, product in enumerate(products):
            scores[:, product] = 0.9 - rank / 10
        return scores

    return score


def constant(scores):
    """A model that gives `scores`, whatever the block."""

    def score(block: CustomerBlock) -> np.ndarray:
        return np.broadcast_to(np.asarray(scores, dtype=np.float32), (block.n_customers, block.n_products)).copy()

    return score
