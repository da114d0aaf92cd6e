"""The fifth layer: when to leave a customer in peace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from features import Catalogue, CustomerBlock
from features.contracts import OUTCOMES
from features.events import EventLog

from ..fresh import COMPLAINT_OPENED, COMPLAINT_RESOLVED, NO_DAY, OUTCOME, FreshEvents
from ..policy.sections import ContactPolicy, QuietScope
from ..reason_codes import Reason
from .consent import channels_to
from .facts import CHUNK, FEW, days_since_epoch

LATER_RULE = 63
"""The bit of "later" among those of the contact rules."""

_COMPLAINT, _RECENTLY_CONTACTED = Reason.OPEN_COMPLAINT.bit, Reason.RECENTLY_CONTACTED.bit
_NOT_PERSONAL = Reason.PERSONALISATION_REFUSED.bit
_CONTACTED = -2  # as an outcome: any contact made
_LATER = OUTCOMES.index("later")
_SCOPES = tuple(QuietScope)
_PRODUCT, _FAMILY, _CHANNEL = (_SCOPES.index(s) for s in (QuietScope.PRODUCT, QuietScope.FAMILY, QuietScope.CHANNEL))
_THIS_CHANNEL = 1


class ContactTables(NamedTuple):
    """The rules as arrays of shape (n_rules,), and what they need of the catalogue.

    Attributes
    ----------
    outcomes : int8; index into `OUTCOMES`, -2: any contact
    times, within, silent : int32; how often, within how many days, for how many days of silence
    scopes : int8; index into `QuietScope`
    bits : uint32; the reason that each gives
    families : int16, shape (n_products,)
    later : int32, shape (2,); days of silence and of being raised; -1: "later" means nothing
    complaints : whether an open complaint silences
    """

    outcomes: NDArray[np.int8]
    times: NDArray[np.int32]
    within: NDArray[np.int32]
    silent: NDArray[np.int32]
    scopes: NDArray[np.int8]
    bits: NDArray[np.uint32]
    families: NDArray[np.int16]
    later: NDArray[np.int32]
    complaints: bool

    @classmethod
    def of(cls, policy: ContactPolicy, catalogue: Catalogue) -> ContactTables:
        """The tables of a policy's section."""
        rules, later = policy.rules, policy.later
        return cls(
            np.array(
                [_CONTACTED if r.after.outcome == "contacted" else OUTCOMES.index(r.after.outcome) for r in rules],
                dtype=np.int8,
            ),
            np.array([rule.after.times for rule in rules], dtype=np.int32),
            np.array([rule.after.within_days for rule in rules], dtype=np.int32),
            np.array([rule.silent_days for rule in rules], dtype=np.int32),
            np.array([_SCOPES.index(rule.scope) for rule in rules], dtype=np.int8),
            np.array([reason_of(rule.after.outcome, rule.after.times).bit for rule in rules], dtype=np.uint32),
            np.array([catalogue.families.index(product.family) for product in catalogue.products], dtype=np.int16),
            np.array([later.after_days, later.for_days] if later else [-1, -1], dtype=np.int32),
            policy.open_complaint == "silent",
        )


def reason_of(outcome: str, times: int) -> Reason:
    """The reason that a contact rule gives."""
    if outcome == "declined":
        return Reason.RECENTLY_DECLINED
    return Reason.CONTACT_LIMIT_REACHED if times > 1 else Reason.RECENTLY_CONTACTED


@dataclass(frozen=True)
class Silences:
    """What the layer says of a block.

    Attributes
    ----------
    rules : uint64, shape (n_customers, n_products); bits of the contact rules that silence, and `LATER_RULE`
    raised : bool, same shape; whose "later" has come
    complaint : bool, shape (n_customers,); a complaint is open
    """

    rules: NDArray[np.uint64]
    raised: NDArray[np.bool_]
    complaint: NDArray[np.bool_]


class _Contacts(NamedTuple):
    indptr: NDArray[np.int64]
    happened_on: NDArray[np.int32]
    known_on: NDArray[np.int32]
    products: NDArray[np.int16]
    channel_codes: NDArray[np.int16]
    treated: NDArray[np.int16]
    outcome_codes: NDArray[np.int16]
    outcome_known_on: NDArray[np.int32]
    outcomes: NDArray[np.int8]
    channels: NDArray[np.int8]


class _Complaints(NamedTuple):
    indptr: NDArray[np.int64]
    known_on: NDArray[np.int32]
    resolved_on: NDArray[np.int32]


def silences(block: CustomerBlock, fresh: FreshEvents, tables: ContactTables, channel: str, day: date) -> Silences:
    """What of `block` is to be left in peace on `day`, through `channel`."""
    n = block.n_customers
    states, rows = block.states, fresh.rows_of(block.positions)
    found = Silences(
        np.zeros((n, block.n_products), dtype=np.uint64),
        np.zeros((n, block.n_products), dtype=np.bool_),
        np.zeros(n, dtype=np.bool_),
    )
    positions = block.positions
    most = int((states.contacts.indptr[positions + 1] - states.contacts.indptr[positions]).max(initial=0))
    most += int((rows[:, 1] - rows[:, 0]).max(initial=0))
    complaints = states.complaints
    arguments = (
        positions, _contacts(states.contacts, channel),
        _Complaints(complaints.indptr, complaints.columns["known_on"], complaints.columns["resolved_on"]),
        rows, fresh.arrays, channels_to(channel, fresh.channels), days_since_epoch(day), tables, most,
        found.rules, found.raised, found.complaint,
    )  # fmt: skip
    if n < FEW:
        _rows(0, n, *arguments)
    else:
        _many(*arguments)
    return found


def exclude(
    found: Silences, asked: NDArray[np.bool_], tables: ContactTables, by_consent: NDArray[np.uint32],
    reasons: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Add the reasons of consent and of this layer to `reasons`, uint32, shape (n_customers, n_products).

    Neither excludes a product in `asked`, shape (n_products,): answering a client is no marketing.
    """
    arguments = (found.rules, found.complaint, asked, tables, by_consent, reasons)
    if len(reasons) < FEW:
        _exclude_rows(0, len(reasons), *arguments)
    else:
        _exclude_many(*arguments)


def _contacts(log: EventLog, channel: str) -> _Contacts:
    columns = log.columns
    outcomes = [OUTCOMES.index(word) if word in OUTCOMES else -1 for word in log.vocabularies["outcome"]]
    return _Contacts(
        log.indptr, columns["happened_on"], columns["known_on"], columns["product"], columns["channel"],
        columns["treated"], columns["outcome"], columns["outcome_known_on"],
        np.array([*outcomes, -1], dtype=np.int8), channels_to(channel, log.vocabularies["channel"]),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, inline="always")
def _gather(row, position, log, fresh_rows, fresh, fresh_channels, day, seen):  # type: ignore[no-untyped-def]
    """Put what is known of the customer's contacts by `day` into `seen`; how many there are.

    Columns of `seen`, int64, shape (n, 6): day of the contact, day of the outcome, product, whether through the
    channel in question, outcome (-1: none known yet), day until which a customer asked to wait.
    """
    n = 0
    for event in range(log.indptr[position], log.indptr[position + 1]):
        if log.known_on[event] > day or log.treated[event] == 0:
            continue
        answered = log.outcome_known_on[event] <= day
        seen[n, 0], seen[n, 1] = log.happened_on[event], log.outcome_known_on[event]
        seen[n, 2], seen[n, 3] = log.products[event], log.channels[log.channel_codes[event]] == _THIS_CHANNEL
        seen[n, 4], seen[n, 5] = log.outcomes[log.outcome_codes[event]] if answered else -1, NO_DAY
        n += 1
    for event in range(fresh_rows[row, 0], fresh_rows[row, 1]):
        if fresh.kinds[event] == OUTCOME and fresh.days[event] <= day:
            seen[n, 0] = seen[n, 1] = fresh.days[event]
            seen[n, 2], seen[n, 3] = fresh.products[event], fresh_channels[fresh.channels[event]] == _THIS_CHANNEL
            seen[n, 4], seen[n, 5] = fresh.outcomes[event], fresh.until[event]
            n += 1
    return n


@numba.njit(cache=True, nogil=True, inline="always")
def _together(one, other, scope, families):  # type: ignore[no-untyped-def]
    """Whether two contacts count together; `one` is what may be silenced."""
    if scope == _PRODUCT:
        return one[2] >= 0 and one[2] == other[2]
    if scope == _FAMILY:
        return one[2] >= 0 and other[2] >= 0 and families[one[2]] == families[other[2]]
    if scope == _CHANNEL:
        return one[3] == 1 and other[3] == 1
    return True


@numba.njit(cache=True, nogil=True, inline="always")
def _silence(seen, n, rule, day, tables, silenced):  # type: ignore[no-untyped-def]
    """Add the bit of `rule` to what it silences, uint64, shape (n_products,)."""
    outcome, scope, bit = tables.outcomes[rule], tables.scopes[rule], np.uint64(1) << np.uint64(rule)
    when = 0 if outcome == _CONTACTED else 1
    for last in range(n):
        if outcome != _CONTACTED and seen[last, 4] != outcome:
            continue
        if seen[last, when] > day or day > seen[last, when] + tables.silent[rule]:
            continue
        count = 0
        for other in range(n):
            if outcome != _CONTACTED and seen[other, 4] != outcome:
                continue
            before = seen[last, when] - seen[other, when]
            if 0 <= before < tables.within[rule] and _together(seen[last], seen[other], scope, tables.families):
                count += 1
        if count < tables.times[rule]:
            continue
        for product in range(len(silenced)):
            if scope == _PRODUCT:
                quiet = product == seen[last, 2]
            elif scope == _FAMILY:
                quiet = tables.families[product] == tables.families[seen[last, 2]]
            else:
                quiet = True
            if quiet:
                silenced[product] |= bit


@numba.njit(cache=True, nogil=True, inline="always")
def _wait(seen, n, day, later, silenced, raised):  # type: ignore[no-untyped-def]
    """Silence products for which the newest outcome is "later", or raise them when their time has come."""
    for event in range(n):
        product = seen[event, 2]
        if seen[event, 4] != _LATER or product < 0:
            continue
        newest = True
        for other in range(n):
            if other == event or seen[other, 2] != product or seen[other, 4] < 0:
                continue
            if seen[other, 1] != seen[event, 1]:
                newest = newest and seen[other, 1] < seen[event, 1]
            elif seen[other, 0] != seen[event, 0]:
                newest = newest and seen[other, 0] < seen[event, 0]
            else:
                newest = newest and other < event
        if not newest:
            continue
        due = seen[event, 5] if seen[event, 5] != NO_DAY else seen[event, 1] + later[0]
        if day < due:
            silenced[product] |= np.uint64(1) << np.uint64(LATER_RULE)
        elif day < due + later[1]:
            raised[product] = True


@numba.njit(cache=True, nogil=True, inline="always")
def _complains(row, position, log, fresh_rows, fresh, day):  # type: ignore[no-untyped-def]
    """Whether a complaint is open; a newer event that all are resolved ends those known by its day."""
    open_, resolved = False, NO_DAY
    for event in range(fresh_rows[row, 0], fresh_rows[row, 1]):
        if fresh.days[event] <= day:
            if fresh.kinds[event] == COMPLAINT_OPENED:
                open_ = True
            elif fresh.kinds[event] == COMPLAINT_RESOLVED:
                open_, resolved = False, fresh.days[event]
    for event in range(log.indptr[position], log.indptr[position + 1]):
        if resolved < log.known_on[event] <= day < log.resolved_on[event]:
            open_ = True
    return open_


@numba.njit(cache=True, nogil=True)
def _rows(  # type: ignore[no-untyped-def]
    start, stop, positions, log, complaints, fresh_rows, fresh, fresh_channels, day, tables, most, rules, raised,
    complaint,
):  # fmt: skip
    seen = np.empty((most, 6), dtype=np.int64)
    for row in range(start, stop):
        position = positions[row]
        n = _gather(row, position, log, fresh_rows, fresh, fresh_channels, day, seen)
        if n > 0:
            for rule in range(len(tables.outcomes)):
                _silence(seen, n, rule, day, tables, rules[row])
            if tables.later[0] >= 0:
                _wait(seen, n, day, tables.later, rules[row], raised[row])
        complaint[row] = _complains(row, position, complaints, fresh_rows, fresh, day)


@numba.njit(cache=True, nogil=True, parallel=True)
def _many(  # type: ignore[no-untyped-def]
    positions, log, complaints, fresh_rows, fresh, fresh_channels, day, tables, most, rules, raised, complaint
):  # fmt: skip
    n = len(positions)
    for chunk in numba.prange((n + CHUNK - 1) // CHUNK):
        _rows(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, log, complaints, fresh_rows, fresh,
            fresh_channels, day, tables, most, rules, raised, complaint,
        )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _exclude_rows(start, stop, rules, complaint, asked, tables, by_consent, reasons):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        everywhere = by_consent[row] | (_COMPLAINT if complaint[row] and tables.complaints else np.uint32(0))
        for product in range(reasons.shape[1]):
            if asked[product]:
                reasons[row, product] |= by_consent[row] & _NOT_PERSONAL
                continue
            bits = everywhere
            silenced = rules[row, product]
            if silenced:
                for rule in range(len(tables.bits)):
                    if silenced >> np.uint64(rule) & np.uint64(1):
                        bits |= tables.bits[rule]
                if silenced >> np.uint64(LATER_RULE):
                    bits |= _RECENTLY_CONTACTED
            reasons[row, product] |= bits


@numba.njit(cache=True, nogil=True, parallel=True)
def _exclude_many(rules, complaint, asked, tables, by_consent, reasons):  # type: ignore[no-untyped-def]
    n = len(reasons)
    for chunk in numba.prange((n + CHUNK - 1) // CHUNK):
        _exclude_rows(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), rules, complaint, asked, tables, by_consent, reasons
        )
