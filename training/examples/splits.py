"""Which periods a training run learns from, which it calibrates and selects on, and which it never sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates
from features.errors import BadInput

from .examples import DatedExamples, Examples, HiddenHoldings


@dataclass(frozen=True)
class Split:
    """Examples in three parts that share no label.

    Attributes
    ----------
    protocol : how the test part asks: ``periods``, ``occasions`` or ``hide-one``
    train, validation : to learn from; to calibrate and select on
    trained_to : the last period that either has seen; the test part lies after it
    """

    protocol: str
    train: Examples
    validation: Examples
    trained_to: int


PERIODS, OCCASIONS, HIDE_ONE = "periods", "occasions", "hide-one"
HIDE_ONE_SHARES = (0.6, 0.2)  # of the customers: train, validation; the rest is the test part


def protocol_of(states: CustomerStates) -> str:
    """How suggestions on these data are to be judged."""
    if len(states.occasions):
        return OCCASIONS
    return PERIODS if states.manifest.dated else HIDE_ONE


def split(
    states: CustomerStates,
    *,
    horizon: int,
    train_periods: int,
    validation_periods: int,
    test_periods: int,
    seed: int,
) -> Split:
    """Split `states` by time; undated holdings, which have no time, by customer.

    Raises
    ------
    BadInput : when the history is too short for three parts
    """
    protocol = protocol_of(states)
    if protocol == HIDE_ONE:
        train, validation, _ = hide_one_parts(states, seed)
        return Split(
            protocol, HiddenHoldings(states, train), HiddenHoldings(states, validation), states.as_of_period - 1
        )
    trained_to = states.as_of_period - test_periods - (horizon - 1)
    if protocol == OCCASIONS:
        trained_to = occasions_cut(states)
    first = max(states.manifest.first_period, states.as_of_period - states.manifest.depth + 1)
    validation_dates = [trained_to - horizon - k for k in range(validation_periods)]
    train_dates = [min(validation_dates) - horizon - k for k in range(train_periods)]
    if max(train_dates) < first:
        needed = states.as_of_period - max(train_dates) + 1
        raise BadInput(
            f"the history is too short to train, validate and test on: it has {states.as_of_period - first + 1} "
            f"periods up to {states.manifest.as_of}, and needs at least {needed}; bring older accounts, raise "
            "history_periods, or lower validation_periods and test_periods in the configuration"
        )
    return Split(
        protocol,
        DatedExamples(states, tuple(sorted(t for t in train_dates if t >= first)), horizon),
        DatedExamples(states, tuple(sorted(t for t in validation_dates if t >= first)), horizon),
        trained_to,
    )


def occasions_cut(states: CustomerStates) -> int:
    """The last period that had ended before the first occasion."""
    first = date(1970, 1, 1) + timedelta(days=int(states.occasions.days.min()))
    return states.calendar.period_of(first) - 1


def hide_one_parts(states: CustomerStates, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the train, validation and test customers, drawn with `seed`.

    A customer's part depends on the id and the seed only: newer tables, with other customers, move nobody from one
    part to another, so a bundle's test customers stay unseen.
    """
    drawn = _uniform(states.customer_ids, seed)
    train_end, validation_end = np.cumsum(HIDE_ONE_SHARES)
    part = np.searchsorted([train_end, validation_end], drawn, side="right")
    return np.flatnonzero(part == 0), np.flatnonzero(part == 1), np.flatnonzero(part == 2)


def _uniform(ids: NDArray[np.bytes_], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each id, by the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over its bytes."""
    octets = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), -1)
    mixed: NDArray[np.uint64] = np.full(len(ids), seed, dtype=np.uint64)
    for column in octets.T:
        # the padding of shorter ids counts for nothing: it grows with the longest
        mixed = np.where(column == 0, mixed, _mix(mixed + column.astype(np.uint64)))
    return (_mix(mixed) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
