"""Top 7 of the collaborative models for a million customers, candidates only, beside implicit's filtered `recommend`.

Run by ``python -m tests.benchmarks.bench_collaborative``. The last lines are JSON, one figure each.
Both start from holdings in memory, the median of a few runs counts, and implicit filters only what is held: it knows of
no other candidates.
"""

import json
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import ItemItemRecommender, normalize
from threadpoolctl import threadpool_limits

from features import BLOCK_SIZE, CustomerBlock
from training.examples import Batch
from training.models import ALS, BPR, EASE, AssociationRules, ItemItem, Model, Transition
from training.models.portfolios import PortfolioModel, distinct_portfolios
from training.ranking import top_k

N_CUSTOMERS = 1_000_000
N_PRODUCTS = 24
N_SEGMENTS = 12
K = 7
REPEATS = 5
BASELINE_REPEATS = 3
BASELINE_SAMPLE = 50_000
"""Customers that implicit recommends to; its time grows in proportion, so it is scaled to all."""

GOAL_SECONDS = 0.5


def holdings_of_a_bank(rng: np.random.Generator) -> np.ndarray:
    """Bool (N_CUSTOMERS, N_PRODUCTS): most hold the current account and little else, engaged customers hold more."""
    held = np.empty((N_CUSTOMERS, N_PRODUCTS), dtype=bool)
    appeal = np.append(0.85, 0.35 / np.arange(1, N_PRODUCTS) ** 1.5)
    engagement = rng.gamma(1.5, 1 / 1.5, N_CUSTOMERS)
    for product in range(N_PRODUCTS):
        chance = appeal[product] if product == 0 else np.minimum(appeal[product] * engagement, 0.9)
        held[:, product] = rng.random(N_CUSTOMERS) < chance
    return held


def candidates_of(held: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What is not held, on sale (two products are not) and for this kind of customer (one in twenty is corporate)."""
    corporate = rng.random(N_CUSTOMERS) < 0.05
    for_kind = np.where(corporate[:, None], np.arange(N_PRODUCTS) % 3 == 0, np.arange(N_PRODUCTS) != 21)
    on_sale = ~np.isin(np.arange(N_PRODUCTS), (5, 17))
    return ~held & for_kind & on_sale


def block_of(words: np.ndarray, candidates: np.ndarray) -> CustomerBlock:
    """A block without states behind it: these models read only what is held."""
    n_customers = len(words)
    return CustomerBlock(
        states=SimpleNamespace(n_products=N_PRODUCTS),
        feature_set=None,
        positions=np.arange(n_customers),
        period=24_240,
        words=words,
        versions=np.zeros(n_customers, dtype=np.int64),
        candidates=candidates,
        segments=(np.arange(n_customers) % N_SEGMENTS).astype(np.int32),
    )


def stream(words: np.ndarray, candidates: np.ndarray) -> Iterator[CustomerBlock]:
    """The customers as a campaign sees them: block after block."""
    for start in range(0, N_CUSTOMERS, BLOCK_SIZE):
        yield block_of(words[start : start + BLOCK_SIZE], candidates[start : start + BLOCK_SIZE])


def seconds_of(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Seconds of each repetition."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return np.array(taken)


def implicit_seconds(name: str, holdings: sp.csr_matrix) -> float:
    """What implicit takes to recommend to all customers what they do not hold, measured on a sample."""
    if name == "als":
        peer = AlternatingLeastSquares(factors=16, iterations=1, random_state=0, num_threads=2)
        peer.fit(holdings, show_progress=False)
    elif name == "bpr":
        peer = BayesianPersonalizedRanking(factors=16, iterations=1, random_state=0, num_threads=2)
        peer.fit(holdings, show_progress=False)
    else:
        peer = ItemItemRecommender(K=20, num_threads=2)
        peer.fit(sp.csr_matrix(normalize(holdings.T).T), show_progress=False)
    customers = np.arange(BASELINE_SAMPLE)
    sample = holdings[customers]
    taken = seconds_of(
        lambda: peer.recommend(customers, sample, N=K, filter_already_liked_items=True), BASELINE_REPEATS
    )
    return float(np.median(taken)) * N_CUSTOMERS / BASELINE_SAMPLE


def recommend(model: Model, block: CustomerBlock) -> np.ndarray:
    """The best `K` candidates of each customer."""
    if isinstance(model, PortfolioModel):
        return model.recommend(block, K)
    return top_k(model.score(block), block.candidates, K)


def main() -> None:
    """Measure, print, and end with the figures as JSON."""
    rng = np.random.default_rng(0)
    held = holdings_of_a_bank(rng)
    candidates = candidates_of(held, rng)
    words = held.astype(np.uint64) | (rng.integers(0, 2**20, held.shape, dtype=np.uint64) << np.uint64(1))
    holdings = sp.csr_matrix(held.astype(np.float32))
    whole = block_of(words, candidates)
    acquired = candidates & (rng.random(held.shape) < 0.002)
    examples = SimpleNamespace(
        n_products=N_PRODUCTS,
        n_segments=N_SEGMENTS,
        holdings=lambda: holdings,
        batches=lambda: iter([Batch(whole, acquired)]),
    )
    print(
        f"{N_CUSTOMERS:,} customers, {N_PRODUCTS} products, {held.sum(axis=1).mean():.2f} held on average, "
        f"{len(distinct_portfolios(held)[0]):,} distinct portfolios, "
        f"{len(distinct_portfolios(np.hstack([held, candidates]))[0]):,} with candidates"
    )

    figures = []
    with threadpool_limits(1, "blas"):
        baselines = {name: implicit_seconds(name, holdings) for name in ("item_item", "als", "bpr")}
        for model_type in (EASE, ItemItem, ALS, BPR, AssociationRules, Transition):
            model: Model = model_type()
            fit = seconds_of(lambda model=model: model.fit(examples), 1)[0]
            for block in (whole, block_of(words[:10], candidates[:10])):
                recommend(model, block)  # compiles for many rows and for few
            streamed = seconds_of(
                lambda model=model: [recommend(model, block) for block in stream(words, candidates)], REPEATS
            )
            at_once = seconds_of(lambda model=model: recommend(model, whole), REPEATS)
            scored = seconds_of(
                lambda model=model: [model.score(block) for block in stream(words, candidates)], REPEATS
            )
            peer = model.name if model.name in baselines else "item_item"
            baseline = baselines[peer]
            value = float(np.median(streamed))
            print(
                f"{model.name:<17} fit {fit:6.2f} s | top {K} in blocks of {BLOCK_SIZE:,}: {value:.3f} s, "
                f"at once: {np.median(at_once):.3f} s | scores of every customer: {np.median(scored):.3f} s | "
                f"implicit {peer}: {baseline:.1f} s (scaled from {BASELINE_SAMPLE:,} customers), "
                f"{baseline / value:,.0f} times as long | goal {GOAL_SECONDS} s: "
                f"{'reached' if value < GOAL_SECONDS else 'MISSED'}"
            )
            figures.append(
                {
                    "figure": f"top {K} for 1 million customers, candidates only, {model.name}, seconds",
                    "value": value,
                    "low": float(streamed.min()),
                    "high": float(streamed.max()),
                    "baseline": f"implicit {peer} recommend, held filtered, scaled from {BASELINE_SAMPLE:,} customers",
                    "baseline_value": baseline,
                }
            )
    for figure in figures:
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
