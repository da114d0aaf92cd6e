"""Features of holdings through time, from the history words by shifts, masks and bit counts."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..chunks import CHUNK, FEW
from ..kernels import kernel
from ..states import CustomerStates
from .family import Beside, FeatureFamily
from .feature import Feature, Measure, Subject, Title, TopicKey

LAGS = (1, 2, 3)
WINDOWS = (1, 3, 6, 12)
_ONE = np.uint64(1)

_PRODUCT_WINDOW = 12

_PER_PRODUCT = (
    ("held", "{} is held", "flag", Measure.LEVEL, 0),
    *((f"held_lag_{lag}", f"{{}} was held {lag} periods before", "flag", Measure.EARLIER, lag) for lag in LAGS),
    ("tenure", "periods in a row that {} has been held; 0: not held", "periods", Measure.TENURE, 0),
    ("age_since_add", "periods since {} was last added; missing: not in memory", "periods", Measure.AGO, 0),
    ("age_since_drop", "periods since {} was last dropped; missing: never", "periods", Measure.AGO, 0),
    ("adds", f"times {{}} was added in {_PRODUCT_WINDOW} periods", "count", Measure.ADDED, _PRODUCT_WINDOW),
    ("drops", f"times {{}} was dropped in {_PRODUCT_WINDOW} periods", "count", Measure.ENDED, _PRODUCT_WINDOW),
)
_BREADTH = TopicKey("breadth", Subject.BREADTH)


class HoldingsFeatures(FeatureFamily):
    """Lags, ages since add and drop, tenure, counts of adds and drops, by product and altogether."""

    name = "holdings"
    title = Title("holdings", "持有")
    beside = (Beside.HOLDINGS,)

    def define(self, states: CustomerStates) -> list[Feature]:
        """Per-customer counts first, then each per-product group over all products."""
        features = [
            Feature(
                group="products_held", meaning="products held", dtype="count", topic=_BREADTH, measure=Measure.LEVEL
            )
        ]
        for change, measure in (("added", Measure.ADDED), ("dropped", Measure.ENDED)):
            features += [
                Feature(
                    group=f"products_{change}_{window}", meaning=f"products {change} in {window} periods",
                    dtype="count", topic=_BREADTH, measure=measure, window=window,
                )
                for window in WINDOWS
            ]  # fmt: skip
        features += [
            Feature(
                group="oldest_holding", meaning="periods the longest-held product has been held", dtype="periods",
                topic=_BREADTH, measure=Measure.TENURE,
            ),
            Feature(
                group="age_since_any_add", meaning="periods since any product was added", dtype="periods",
                topic=_BREADTH, measure=Measure.AGO,
            ),
        ]  # fmt: skip
        products = states.catalogue.products
        topics = {p.product_id: TopicKey(f"holds:{p.product_id}", Subject.HOLDING, p.product_id) for p in products}
        for group, meaning, dtype, measure, window in _PER_PRODUCT:
            features += [
                Feature(
                    group=group, product=product.product_id, meaning=meaning.format(product.name), dtype=dtype,
                    topic=topics[product.product_id], measure=measure, window=window,
                )
                for product in products
            ]  # fmt: skip
        return features

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """One pass over the words."""
        if block.n_customers < FEW:
            _compute(0, block.n_customers, block.words, out)
        else:
            _compute_of_many(block.words, out)


@kernel
def _trailing_zeros(word):  # type: ignore[no-untyped-def]
    """Position of the lowest set bit; 64 when there is none. Six halvings, from Hacker's Delight 5-4."""
    if word == 0:
        return 64
    count = 0
    for width in (32, 16, 8, 4, 2, 1):
        low = (_ONE << np.uint64(width)) - _ONE
        if (word & low) == 0:
            count += width
            word = word >> np.uint64(width)
    return count


@kernel
def _count_bits(word):  # type: ignore[no-untyped-def]
    """Number of set bits (Hacker's Delight 5-1)."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def _compute(start, stop, words, out):  # type: ignore[no-untyped-def]
    n_products = words.shape[1]
    n_windows = len(WINDOWS)
    n_lags = len(LAGS)
    first = 3 + 2 * n_windows  # per-product columns begin
    window_mask = (_ONE << np.uint64(_PRODUCT_WINDOW)) - _ONE
    memory = ~(_ONE << np.uint64(63))  # an add in the oldest period may be older than memory
    for row in range(start, stop):
        held = 0
        oldest = 0
        newest_add = 64
        for column in range(1, first):
            out[row, column] = 0
        for product in range(n_products):
            word = words[row, product]
            here = first + product
            adds = word & ~(word >> _ONE) & memory
            drops = ~word & (word >> _ONE)
            tenure = _trailing_zeros(~word)
            out[row, here] = word & _ONE
            for lag in range(n_lags):
                out[row, here + (1 + lag) * n_products] = (word >> np.uint64(LAGS[lag])) & _ONE
            here += (1 + n_lags) * n_products
            out[row, here] = tenure
            if word == 0:
                out[row, here + 3 * n_products] = 0
                out[row, here + 4 * n_products] = 0
                continue
            if adds != 0:
                age = _trailing_zeros(adds)
                out[row, here + n_products] = age
                newest_add = min(newest_add, age)
            if drops != 0:
                out[row, here + 2 * n_products] = _trailing_zeros(drops)
            out[row, here + 3 * n_products] = _count_bits(adds & window_mask)
            out[row, here + 4 * n_products] = _count_bits(drops & window_mask)
            held += word & _ONE
            oldest = max(oldest, tenure)
            for window in range(n_windows):
                mask = (_ONE << np.uint64(WINDOWS[window])) - _ONE
                out[row, 1 + window] += _count_bits(adds & mask)
                out[row, 1 + n_windows + window] += _count_bits(drops & mask)
        out[row, 0] = held
        out[row, first - 2] = oldest
        out[row, first - 1] = newest_add if newest_add < 64 else np.nan


@kernel(parallel=True)
def _compute_of_many(words, out):  # type: ignore[no-untyped-def]
    n = len(words)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _compute(chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), words, out)
