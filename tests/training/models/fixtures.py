"""Small banks in memory: blocks and examples that need no tables and no built states."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

from features import CustomerBlock
from features.contracts import KIND
from features.families import Feature, Measure, Subject, TopicKey
from training.examples import Batch

FIRST_PERIOD = 24_240


class StubProfile:
    """Of a customer's profile, the kind: every fourth is corporate."""

    def __init__(self, n_customers: int) -> None:
        self.codes = {KIND: (np.arange(n_customers) % 4 == 3).astype(np.int32)}


def made_up(group: str, dtype: str, key: str = "") -> Feature:
    """A feature of which models need the name and the dtype."""
    topic = TopicKey(group, Subject.UNSPOKEN)
    return Feature(group=group, key=key, meaning=group, dtype=dtype, topic=topic, measure=Measure.LEVEL)


class StubFeatureSet:
    """Features that need nothing but the block: its history words, spelt out."""

    def __init__(self, n_products: int) -> None:
        groups, products = ("holds_now", "periods_held"), range(n_products)
        self.features = tuple(made_up(group, "count", str(product)) for group in groups for product in products)
        self.names = tuple(feature.name for feature in self.features)

    def compute(self, block: CustomerBlock) -> np.ndarray:
        return np.hstack([block.held, np.bitwise_count(block.words)]).astype(np.float32)


class StubStates:
    """What models may ask of the states behind a block."""

    def __init__(self, n_customers: int, n_products: int, n_segments: int) -> None:
        self.n_customers = n_customers
        self.n_products = n_products
        self.n_segments = n_segments
        self.manifest = SimpleNamespace(dated=True)
        self.profile = StubProfile(n_customers)
        self.feature_set = StubFeatureSet(n_products)
        rates = np.linspace(0.02, 0.001, n_segments * n_products, dtype=np.float32)
        self.acquisition_rate = rates.reshape(1, n_segments, n_products)

    def age_of(self, period: int) -> int:
        return 0

    def derived(self, make) -> StubFeatureSet:
        return self.feature_set


@dataclass(frozen=True)
class InMemoryExamples:
    """The `Examples` protocol over batches kept in a list."""

    kept: tuple[Batch, ...]
    n_products: int
    n_segments: int
    states: StubStates

    @property
    def latest_period(self) -> int:
        return max((batch.block.period for batch in self.kept), default=FIRST_PERIOD) + 1

    def batches(self) -> Iterator[Batch]:
        return iter(self.kept)

    def holdings(self) -> sp.csr_array:
        if not self.kept:
            return sp.csr_array((0, self.n_products), dtype=np.float32)
        last = self.kept[-1]
        return sp.csr_array((last.block.held | last.acquired).astype(np.float32))


def block_of(words, candidates=None, segments=None, n_segments=1, period=FIRST_PERIOD) -> CustomerBlock:
    """A block of the given history words (or holdings), by default with every product not held a candidate."""
    words = np.atleast_2d(np.asarray(words)).astype(np.uint64)
    n_customers, n_products = words.shape
    states = StubStates(n_customers, n_products, n_segments)
    return CustomerBlock(
        states=states,
        feature_set=states.feature_set,
        positions=np.arange(n_customers, dtype=np.int64),
        period=period,
        words=words,
        versions=np.arange(n_customers, dtype=np.int64),
        candidates=(words & np.uint64(1)) == 0 if candidates is None else np.asarray(candidates, dtype=bool),
        segments=np.zeros(n_customers, np.int32) if segments is None else np.asarray(segments, dtype=np.int32),
    )


def examples_of(*batches: Batch) -> InMemoryExamples:
    """Examples of at least one batch."""
    block = batches[0].block
    return InMemoryExamples(batches, block.n_products, block.states.n_segments, block.states)


def examples_of_holdings(held) -> InMemoryExamples:
    """Examples in which customers hold `held` and acquire nothing."""
    block = block_of(held)
    return examples_of(Batch(block, np.zeros(block.words.shape, dtype=bool)))


def random_bank(seed: int = 0, n_customers: int = 240, n_products: int = 7, n_periods: int = 4) -> InMemoryExamples:
    """A bank with everything that trips a model.

    The first ten customers hold nothing at first, customer 0 never acquires anything, the last product is never
    acquired, the one before it is not on sale to odd customers, and the last of the three segments has one member.
    """
    rng = np.random.default_rng(seed)
    shape = (n_customers, n_products)
    appeal = np.linspace(0.3, 0.05, n_products)
    held = rng.random(shape) < appeal
    held[:10] = False
    words = held.astype(np.uint64)
    segments = rng.integers(0, 2, n_customers)
    segments[-1] = 2
    on_sale = np.ones(shape, dtype=bool)
    on_sale[1::2, -2] = False

    batches = []
    for period in range(FIRST_PERIOD, FIRST_PERIOD + n_periods):
        block = block_of(words, ((words & np.uint64(1)) == 0) & on_sale, segments, 3, period)
        likes = 1 + held.sum(axis=1, keepdims=True)
        acquired = block.candidates & (rng.random(shape) < appeal * likes / 4)
        acquired[0] = False
        acquired[:, -1] = False
        batches.append(Batch(block, acquired))
        held = (block.held & (rng.random(shape) > 0.05)) | acquired
        words = (words << np.uint64(1)) | held.astype(np.uint64)
    return examples_of(*batches)


def checkerboard(size: int) -> np.ndarray:
    """Even customers hold the even products and odd customers the odd ones, but for the product of their own number.

    After `tests/recommender_base_test.py` of implicit: the one product withheld must come back first.
    """
    customer, product = np.indices((size, size))
    return ((customer - product) % 2 == 0) & (customer != product)
