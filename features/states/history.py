"""Holdings through time, a 64-bit word for each customer-product pair.

Bit k of a word is set when the product was held at the end of the period k before the newest. What became known
late is kept beside the words, so the history can be seen as the bank saw it at any earlier date. What was held in the
oldest period remembered counts as held ever before it, so a view of an earlier date has no add where memory ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numba import prange
from numpy.typing import NDArray

from ..calendar import HISTORY_BITS
from ..chunks import CHUNK, FEW
from ..errors import BadInput
from ..kernels import kernel
from .arrays import load_arrays, save_arrays

NO_DAY = 255
"""In place of a day within its period: there is none, or it is not known."""

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class HoldingsHistory:
    """A CSR matrix of history words, customers by products.

    Attributes
    ----------
    n_products : columns
    as_of_period : the period of bit 0
    indptr : int64, shape (n_customers + 1,); where each customer's pairs begin
    products : int16, shape (n_pairs,); column of each pair, ascending within a customer
    words : uint64, shape (n_pairs,); held, from accounts recorded in the period in which they opened
    opens : uint64, shape (n_pairs,); bit k: an account was opened in that period, whenever it was recorded
    late_pairs : int64, shape (n_late,); ascending; the pair that a late account belongs to
    late_periods : int32, shape (n_late,); the period in which it was recorded, from which on it is visible
    late_words : uint64, shape (n_late,); the bits it adds
    began : uint8, shape (n_pairs,); see `day_begun`
    """

    n_products: int
    as_of_period: int
    indptr: NDArray[np.int64]
    products: NDArray[np.int16]
    words: NDArray[np.uint64]
    opens: NDArray[np.uint64]
    late_pairs: NDArray[np.int64]
    late_periods: NDArray[np.int32]
    late_words: NDArray[np.uint64]
    began: NDArray[np.uint8]

    @classmethod
    def from_accounts(
        cls,
        *,
        n_customers: int,
        n_products: int,
        as_of_period: int,
        customers: NDArray[np.int64],
        products: NDArray[np.int16],
        opened_ages: NDArray[np.int32],
        closed_ages: NDArray[np.int32],
        opened_days: NDArray[np.int16],
        recorded_periods: NDArray[np.int32],
    ) -> HoldingsHistory:
        """Pack accounts into words.

        Parameters
        ----------
        customers, products : shape (n_accounts,), sorted by both
        opened_ages : periods between opening and `as_of_period`; 64 or more: before the history; -1: not known when
        closed_ages : periods between closing and `as_of_period`; -1: still open
        opened_days : days from the first one of the period of opening; `NO_DAY`: not known when, or never open
        recorded_periods : the period in which the bank knew
        """
        packed = _pack(
            customers, products, opened_ages, closed_ages, opened_days, recorded_periods, as_of_period, n_customers
        )
        return cls(n_products, as_of_period, *packed)

    @property
    def n_customers(self) -> int:
        """Rows."""
        return len(self.indptr) - 1

    def day_begun(self, position: int, product: int) -> int | None:
        """The day on which a customer began to hold what is held without interruption up to the newest period.

        What no period's end saw is no interruption: accounts that follow each other within a period continue a
        holding, and in the first one the first of them counts. Accounts recorded late count as they do in the words.

        Returns
        -------
        days from the first one of the period in which it began; None: not held, since before memory or its oldest
        period, an account that is undated, or a history of a format that did not keep the day
        """
        start, stop = self.indptr[position : position + 2].tolist()
        pair = start + int(np.searchsorted(self.products[start:stop], product))
        if pair == stop or self.products[pair] != product or self.began[pair] == NO_DAY:
            return None
        return int(self.began[pair])

    def words_at(self, positions: NDArray[np.int64], period: int) -> NDArray[np.uint64]:
        """Shape (len(positions), n_products): the words as the bank knew them at the end of `period`.

        Bits older than memory repeat its oldest one.
        """
        dense = np.zeros((len(positions), self.n_products), dtype=np.uint64)
        arguments = (positions, self.indptr, *self._pairs(), period, self.as_of_period - period, dense)
        if len(positions) < FEW:
            _dense_words(0, len(positions), *arguments)
        else:
            _dense_words_of_many(*arguments)
        return dense

    def opened_within(self, positions: NDArray[np.int64], period: int, horizon: int) -> NDArray[np.bool_]:
        """Shape (len(positions), n_products): opened in ``(period, period + horizon]`` and not held at `period`.

        This is what happened, whenever it was recorded: for labels, never for features.

        Raises
        ------
        BadInput : when the horizon reaches beyond the newest period
        """
        age = self.as_of_period - period
        if not 1 <= horizon <= age:
            raise BadInput(f"what was opened in {horizon} periods is not known {age} periods before the newest one")
        dense = np.zeros((len(positions), self.n_products), dtype=np.bool_)
        _dense_opens(
            positions,
            self.indptr,
            self.products,
            self.words,
            self.late_pairs,
            self.late_words,
            self.opens,
            age,
            horizon,
            dense,
        )
        return dense

    def added_within(self, period: int, window: int) -> NDArray[np.int64]:
        """Shape (n_products,): customers who added each product in the `window` periods up to `period`.

        Added: held at the end of a period and not at the end of the one before, as the bank knew at the end of
        `period`. Where memory ends there is no add. A customer who adds a product twice counts twice.
        """
        added = np.zeros(self.n_products, dtype=np.int64)
        _count_adds(*self._pairs(), period, self.as_of_period - period, _newest(window), added)
        return added

    def spells(self, period: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How long holdings were at risk of ending in the `window` periods up to `period`, and how many ended.

        As the bank knew at the end of `period`. Periods that began before memory are left out: what ended in them
        has been forgotten, and so must be what lasted.

        Returns
        -------
        exposure : int64, shape (n_products,); customer-periods at whose start the product was held
        drops : int64, shape (n_products,); those of them at whose end it was held no more
        """
        age = self.as_of_period - period
        exposure = np.zeros(self.n_products, dtype=np.int64)
        drops = np.zeros(self.n_products, dtype=np.int64)
        remembered = _newest(min(window, HISTORY_BITS - 1 - age))
        _count_spells(*self._pairs(), period, age, remembered, exposure, drops)
        return exposure, drops

    def holdings_at(self, period: int) -> sp.csr_array:
        """The customer-product matrix: float32 CSR, 1 where held at the end of `period`, as known then."""
        words = self.words.copy()
        visible = self.late_periods <= period
        np.bitwise_or.at(words, self.late_pairs[visible], self.late_words[visible])
        held = ((words >> np.uint64(self.as_of_period - period)) & _ONE).astype(np.bool_)
        customers = np.repeat(np.arange(self.n_customers), np.diff(self.indptr))[held]
        counts = np.bincount(customers, minlength=self.n_customers)
        indptr = np.concatenate(([0], np.cumsum(counts)))
        columns = self.products[held].astype(np.int32)
        return sp.csr_array(
            (np.ones(len(columns), dtype=np.float32), columns, indptr), shape=(self.n_customers, self.n_products)
        )

    def save(self, folder: Path) -> None:
        """One .npy file an array, for `load` to map."""
        save_arrays(folder, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, folder: Path, n_products: int, as_of_period: int, *, keeps_days: bool = True) -> HoldingsHistory:
        """Map what `save` wrote; without `keeps_days`, what it wrote when it did not know on which days runs began."""
        arrays = load_arrays(folder, *(name for name in _ARRAYS if keeps_days or name != "began"))
        if not keeps_days:
            arrays["began"] = np.broadcast_to(np.uint8(NO_DAY), arrays["products"].shape)
        return cls(n_products, as_of_period, **arrays)

    def _pairs(self) -> tuple[NDArray, ...]:
        return self.products, self.words, self.late_pairs, self.late_periods, self.late_words


_ARRAYS = tuple(field.name for field in fields(HoldingsHistory))[2:]


def _newest(periods: int) -> np.uint64:
    """The bits of the newest `periods`."""
    # a word cannot be shifted by all its bits
    return _ALL >> np.uint64(HISTORY_BITS - min(periods, HISTORY_BITS)) if periods > 0 else np.uint64(0)


@kernel
def _span(opened_age: int, closed_age: int) -> np.uint64:
    """Bits of the periods at whose end an account was open."""
    if closed_age >= HISTORY_BITS - 1 or (opened_age >= 0 and closed_age >= opened_age):
        return np.uint64(0)
    oldest = HISTORY_BITS - 1 if opened_age < 0 or opened_age > HISTORY_BITS - 1 else opened_age
    return (_ALL >> np.uint64(HISTORY_BITS - 1 - oldest)) & (_ALL << np.uint64(closed_age + 1))


@kernel
def _day_begun(word, opened_ages, opened_days):  # type: ignore[no-untyped-def]
    """The first day, within the period in which the newest run of `word` began, on which one of its accounts opened."""
    run = 0
    while run < HISTORY_BITS and (word >> np.uint64(run)) & _ONE:
        run += 1
    day = NO_DAY
    if 0 < run < HISTORY_BITS:
        for account in range(len(opened_ages)):
            if opened_ages[account] == run - 1:
                day = min(day, np.int64(opened_days[account]))
    return day


@kernel
def _pack(  # type: ignore[no-untyped-def]
    customers, products, opened_ages, closed_ages, opened_days, recorded_periods, as_of_period, n_customers
):
    n = len(customers)
    indptr = np.zeros(n_customers + 1, dtype=np.int64)
    pair_products = np.empty(n, dtype=np.int16)
    words = np.zeros(n, dtype=np.uint64)
    opens = np.zeros(n, dtype=np.uint64)
    late_pairs = np.empty(n, dtype=np.int64)
    late_periods = np.empty(n, dtype=np.int32)
    late_words = np.empty(n, dtype=np.uint64)
    began = np.empty(n, dtype=np.uint8)
    n_pairs = 0
    n_late = 0
    first = 0  # account of the pair
    ever = np.uint64(0)  # the pair's bits as known in the newest period
    for i in range(n):
        if i == 0 or customers[i] != customers[i - 1] or products[i] != products[i - 1]:
            pair_products[n_pairs] = products[i]
            indptr[customers[i] + 1] += 1
            n_pairs += 1
            first, ever = i, np.uint64(0)
        pair = n_pairs - 1
        opened_age = opened_ages[i]
        if 0 <= opened_age < HISTORY_BITS:
            opens[pair] |= _ONE << np.uint64(opened_age)
        word = _span(opened_age, closed_ages[i])
        on_time = opened_age >= 0 and recorded_periods[i] <= as_of_period - opened_age
        if on_time or recorded_periods[i] <= as_of_period - HISTORY_BITS:
            words[pair] |= word
        elif word != 0:
            late_pairs[n_late] = pair
            late_periods[n_late] = recorded_periods[i]
            late_words[n_late] = word
            n_late += 1
        ever |= word
        if i == n - 1 or customers[i] != customers[i + 1] or products[i] != products[i + 1]:
            began[pair] = _day_begun(ever, opened_ages[first : i + 1], opened_days[first : i + 1])
    for customer in range(n_customers):
        indptr[customer + 1] += indptr[customer]
    return (
        indptr,
        pair_products[:n_pairs].copy(),
        words[:n_pairs].copy(),
        opens[:n_pairs].copy(),
        late_pairs[:n_late].copy(),
        late_periods[:n_late].copy(),
        late_words[:n_late].copy(),
        began[:n_pairs].copy(),
    )


@kernel
def _dense_words(  # type: ignore[no-untyped-def]
    start, stop, positions, indptr, products, words, late_pairs, late_periods, late_words, period, age, dense
):
    shift = np.int64(age)
    for row in range(start, stop):
        begin = indptr[positions[row]]
        end = indptr[positions[row] + 1]
        for pair in range(begin, end):
            # signed, so that the oldest bit is repeated
            dense[row, products[pair]] = np.uint64(np.int64(words[pair]) >> shift)
        late = np.searchsorted(late_pairs, begin)
        while late < len(late_pairs) and late_pairs[late] < end:
            if late_periods[late] <= period:
                dense[row, products[late_pairs[late]]] |= np.uint64(np.int64(late_words[late]) >> shift)
            late += 1


@kernel(parallel=True)
def _dense_words_of_many(  # type: ignore[no-untyped-def]
    positions, indptr, products, words, late_pairs, late_periods, late_words, period, age, dense
):
    n = len(positions)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _dense_words(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, indptr, products, words, late_pairs,
            late_periods, late_words, period, age, dense,
        )  # fmt: skip


@kernel(parallel=True)
def _dense_opens(positions, indptr, products, words, late_pairs, late_words, opens, age, horizon, dense):  # type: ignore[no-untyped-def]
    window = ((_ONE << np.uint64(horizon)) - _ONE) << np.uint64(age - horizon)
    as_of_bit = _ONE << np.uint64(age)
    for row in prange(len(positions)):
        begin = indptr[positions[row]]
        end = indptr[positions[row] + 1]
        for pair in range(begin, end):
            dense[row, products[pair]] = (opens[pair] & window) != 0 and (words[pair] & as_of_bit) == 0
        late = np.searchsorted(late_pairs, begin)
        while late < len(late_pairs) and late_pairs[late] < end:
            if late_words[late] & as_of_bit != 0:
                dense[row, products[late_pairs[late]]] = False
            late += 1


@kernel(inline="always")
def _known_word(pair, late, words, late_pairs, late_periods, late_words, period, age):  # type: ignore[no-untyped-def]
    """The word of `pair` as known at `period`, oldest bit repeated, and where the late accounts of the next begin."""
    word = words[pair]
    while late < len(late_pairs) and late_pairs[late] == pair:
        if late_periods[late] <= period:
            word |= late_words[late]
        late += 1
    return np.uint64(np.int64(word) >> np.int64(age)), late


@kernel(inline="always")
def _bit_count(word):  # type: ignore[no-untyped-def]
    """Bits set; compilers know this loop and put the processor's own count in its place."""
    count = 0
    while word != 0:
        word &= word - _ONE
        count += 1
    return count


@kernel
def _count_adds(  # type: ignore[no-untyped-def]
    products, words, late_pairs, late_periods, late_words, period, age, window, added
):
    late = 0
    for pair in range(len(products)):
        word, late = _known_word(pair, late, words, late_pairs, late_periods, late_words, period, age)
        before = np.uint64(np.int64(word) >> np.int64(1))
        added[products[pair]] += _bit_count(word & ~before & window)


@kernel
def _count_spells(  # type: ignore[no-untyped-def]
    products, words, late_pairs, late_periods, late_words, period, age, window, exposure, drops
):
    late = 0
    for pair in range(len(products)):
        word, late = _known_word(pair, late, words, late_pairs, late_periods, late_words, period, age)
        before = np.uint64(np.int64(word) >> np.int64(1)) & window
        exposure[products[pair]] += _bit_count(before)
        drops[products[pair]] += _bit_count(before & ~word)
