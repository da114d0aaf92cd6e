"""The fourth layer: what the customer agreed to. The newest answer known counts, of two on one day the refusal."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.contracts import PURPOSES

from ..fresh import CONSENT, FreshEvents
from ..policy.sections import Consent
from ..reason_codes import Reason
from .facts import CHUNK, FEW, days_since_epoch

_MARKETING, _PERSONALISATION = PURPOSES.index("marketing"), PURPOSES.index("personalisation")
_REFUSED, _CHANNEL = Reason.MARKETING_REFUSED.bit, Reason.CHANNEL_REFUSED.bit
_NOT_PERSONAL = Reason.PERSONALISATION_REFUSED.bit
_NO_ANSWER = np.iinfo(np.int32).min
_EVERYTHING, _THIS_CHANNEL, _OTHER_CHANNEL = 0, 1, 2


class _Log(NamedTuple):
    """The states' consents: the purposes numbered as in `PURPOSES`, the channels by what they are to the decision."""

    indptr: NDArray[np.int64]
    happened_on: NDArray[np.int32]
    known_on: NDArray[np.int32]
    purpose_codes: NDArray[np.int16]
    channel_codes: NDArray[np.int16]
    granted: NDArray[np.int16]
    purposes: NDArray[np.int8]
    channels: NDArray[np.int8]


def refusals(block: CustomerBlock, fresh: FreshEvents, consent: Consent, channel: str, day: date) -> NDArray[np.uint32]:
    """The reasons of the layer, uint32, shape (n_customers,), for contacts through `channel` on `day`."""
    log = block.states.consents
    columns = log.columns
    purposes = [PURPOSES.index(word) if word in PURPOSES else -1 for word in log.vocabularies["purpose"]]
    arranged = _Log(
        log.indptr, columns["happened_on"], columns["known_on"], columns["purpose"], columns["channel"],
        columns["granted"], np.array([*purposes, -1], dtype=np.int8),
        channels_to(channel, log.vocabularies["channel"]),
    )  # fmt: skip
    reasons = np.empty(block.n_customers, dtype=np.uint32)
    without_record = np.array(
        [consent.marketing_without_record == "refused", consent.personalisation_without_record == "refused"]
    )
    arguments = (
        block.positions, arranged, fresh.rows_of(block.positions), fresh.arrays, channels_to(channel, fresh.channels),
        days_since_epoch(day), without_record, reasons,
    )  # fmt: skip
    if block.n_customers < FEW:
        _rows(0, block.n_customers, *arguments)
    else:
        _many(*arguments)
    return reasons


def channels_to(channel: str, words: tuple[str, ...]) -> NDArray[np.int8]:
    """Int8, shape (len(words) + 1,): what channels are to a decision about `channel`; the last one is no channel."""
    return np.array(
        [*(_THIS_CHANNEL if word == channel else _OTHER_CHANNEL for word in words), _EVERYTHING], dtype=np.int8
    )


@numba.njit(cache=True, nogil=True, inline="always")
def _hear(answers, purpose, channel, day, granted):  # type: ignore[no-untyped-def]
    """Let an answer count; `answers`, by purpose and channel: the day of the newest one, and whether it refuses."""
    newest = answers[purpose, channel, 0]
    if day > newest:
        answers[purpose, channel, 0] = day
        answers[purpose, channel, 1] = not granted
    elif day == newest and not granted:
        answers[purpose, channel, 1] = 1


@numba.njit(cache=True, nogil=True)
def _rows(start, stop, positions, log, fresh_rows, fresh, fresh_channels, day, without_record, reasons):  # type: ignore[no-untyped-def]
    answers = np.empty((2, 2, 2), dtype=np.int64)
    for row in range(start, stop):
        answers[:, :, 0] = _NO_ANSWER
        answers[:, :, 1] = 0
        for event in range(log.indptr[positions[row]], log.indptr[positions[row] + 1]):
            purpose, channel = log.purposes[log.purpose_codes[event]], log.channels[log.channel_codes[event]]
            if log.known_on[event] <= day and purpose >= 0 and channel != _OTHER_CHANNEL:
                _hear(answers, purpose, channel, log.happened_on[event], log.granted[event] != 0)
        for event in range(fresh_rows[row, 0], fresh_rows[row, 1]):
            channel = fresh_channels[fresh.channels[event]]
            if fresh.kinds[event] == CONSENT and fresh.days[event] <= day and channel != _OTHER_CHANNEL:
                _hear(answers, fresh.purposes[event], channel, fresh.days[event], fresh.granted[event])
        bits = np.uint32(0)
        if answers[_MARKETING, _EVERYTHING, 0] == _NO_ANSWER:
            if without_record[_MARKETING]:
                bits |= _REFUSED
        elif answers[_MARKETING, _EVERYTHING, 1]:
            bits |= _REFUSED
        if answers[_MARKETING, _THIS_CHANNEL, 1]:
            bits |= _CHANNEL
        if answers[_PERSONALISATION, _EVERYTHING, 0] == _NO_ANSWER:
            if without_record[_PERSONALISATION]:
                bits |= _NOT_PERSONAL
        elif answers[_PERSONALISATION, _EVERYTHING, 1]:
            bits |= _NOT_PERSONAL
        if answers[_PERSONALISATION, _THIS_CHANNEL, 1]:
            bits |= _NOT_PERSONAL
        reasons[row] = bits


@numba.njit(cache=True, nogil=True, parallel=True)
def _many(positions, log, fresh_rows, fresh, fresh_channels, day, without_record, reasons):  # type: ignore[no-untyped-def]
    n = len(reasons)
    for chunk in numba.prange((n + CHUNK - 1) // CHUNK):
        _rows(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, log, fresh_rows, fresh, fresh_channels, day,
            without_record, reasons,
        )  # fmt: skip
