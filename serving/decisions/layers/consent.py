"""The fourth layer: what the customer agreed to. The newest answer known counts, of two on one day the refusal."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.contracts import PURPOSES
from features.kernels import kernel
from features.states.events import EventLog

from ..fresh import CONSENT
from ..policy.sections import Consent
from ..reason_codes import Reason

_MARKETING, _PERSONALISATION = PURPOSES.index("marketing"), PURPOSES.index("personalisation")
_REFUSED, _CHANNEL = Reason.MARKETING_REFUSED.bit, Reason.CHANNEL_REFUSED.bit
_NOT_PERSONAL = Reason.PERSONALISATION_REFUSED.bit
_NO_ANSWER = np.iinfo(np.int32).min
_EVERYTHING, _THIS_CHANNEL, _OTHER_CHANNEL = 0, 1, 2


class ConsentLog(NamedTuple):
    """The states' consents: the purposes numbered as in `PURPOSES`, the channels by what they are to the decision.

    Attributes
    ----------
    without_record : bool, shape (2,); whether no answer is a refusal, of marketing and of personalisation
    """

    indptr: NDArray[np.int64]
    happened_on: NDArray[np.int32]
    known_on: NDArray[np.int32]
    purpose_codes: NDArray[np.int16]
    channel_codes: NDArray[np.int16]
    granted: NDArray[np.int16]
    purposes: NDArray[np.int8]
    channels: NDArray[np.int8]
    without_record: NDArray[np.bool_]

    @classmethod
    def of(cls, log: EventLog, consent: Consent, channel: str) -> ConsentLog:
        """`log`, for contacts through `channel`."""
        columns = log.columns
        purposes = [PURPOSES.index(word) if word in PURPOSES else -1 for word in log.vocabularies["purpose"]]
        return cls(
            log.indptr, columns["happened_on"], columns["known_on"], columns["purpose"], columns["channel"],
            columns["granted"], np.array([*purposes, -1], dtype=np.int8),
            channels_to(channel, log.vocabularies["channel"]),
            np.array(
                [consent.marketing_without_record == "refused", consent.personalisation_without_record == "refused"]
            ),
        )  # fmt: skip


@lru_cache(maxsize=64)
def channels_to(channel: str, words: tuple[str, ...]) -> NDArray[np.int8]:
    """Int8, shape (len(words) + 1,): what channels are to a decision about `channel`; the last one is no channel."""
    return np.array(
        [*(_THIS_CHANNEL if word == channel else _OTHER_CHANNEL for word in words), _EVERYTHING], dtype=np.int8
    )


@kernel(inline="always")
def _hear(answers, purpose, channel, day, granted):  # type: ignore[no-untyped-def]
    """Let an answer count; `answers`, by purpose and channel: the day of the newest one, and whether it refuses."""
    newest = answers[purpose, channel, 0]
    if day > newest:
        answers[purpose, channel, 0] = day
        answers[purpose, channel, 1] = not granted
    elif day == newest and not granted:
        answers[purpose, channel, 1] = 1


@kernel
def rows(start, stop, positions, log, fresh_rows, fresh, fresh_channels, day, reasons):  # type: ignore[no-untyped-def]
    """Write the reasons of the layer into some rows of `reasons`, uint32, shape (n_customers,)."""
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
            if log.without_record[_MARKETING]:
                bits |= _REFUSED
        elif answers[_MARKETING, _EVERYTHING, 1]:
            bits |= _REFUSED
        if answers[_MARKETING, _THIS_CHANNEL, 1]:
            bits |= _CHANNEL
        if answers[_PERSONALISATION, _EVERYTHING, 0] == _NO_ANSWER:
            if log.without_record[_PERSONALISATION]:
                bits |= _NOT_PERSONAL
        elif answers[_PERSONALISATION, _EVERYTHING, 1]:
            bits |= _NOT_PERSONAL
        if answers[_PERSONALISATION, _THIS_CHANNEL, 1]:
            bits |= _NOT_PERSONAL
        reasons[row] = bits
