"""The fifth layer: when to leave a customer in peace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import Catalogue
from features.contracts import OUTCOMES
from features.kernels import kernel
from features.states.events import EventLog

from ..fresh import COMPLAINT_OPENED, COMPLAINT_RESOLVED, NO_DAY, OUTCOME
from ..policy.sections import ContactPolicy, QuietScope
from ..reason_codes import Reason
from .consent import channels_to

LATER_RULE = 63
"""The bit of "later" among those of the contact rules."""

_COMPLAINT, _RECENTLY_CONTACTED = Reason.OPEN_COMPLAINT.bit, Reason.RECENTLY_CONTACTED.bit
_NOT_PERSONAL = Reason.PERSONALISATION_REFUSED.bit
_CONTACTED = -2  # as an outcome: any contact made
_LATER = OUTCOMES.index("later")
_SCOPES = tuple(QuietScope)
_PRODUCT, _FAMILY, _CHANNEL = (_SCOPES.index(s) for s in (QuietScope.PRODUCT, QuietScope.FAMILY, QuietScope.CHANNEL))
_THIS_CHANNEL = 1
_ALL_OWN: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
_ALL_OWN.setflags(write=False)  # as what is mapped, so that nothing is compiled twice


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


class ContactLog(NamedTuple):
    """The states' contacts: outcomes numbered as in `OUTCOMES`, channels by what they are to the decision.

    Attributes
    ----------
    conversations : int64; of contacts that the service was told of, -1: of the bank's own; empty: all are
    """

    indptr: NDArray[np.int64]
    happened_on: NDArray[np.int32]
    known_on: NDArray[np.int32]
    products: NDArray[np.int16]
    channel_codes: NDArray[np.int16]
    treated: NDArray[np.int16]
    outcome_codes: NDArray[np.int16]
    outcome_known_on: NDArray[np.int32]
    conversations: NDArray[np.int64]
    outcomes: NDArray[np.int8]
    channels: NDArray[np.int8]

    @classmethod
    def of(cls, log: EventLog, channel: str) -> ContactLog:
        """`log`, for a decision about contacts through `channel`."""
        columns = log.columns
        outcomes = [OUTCOMES.index(word) if word in OUTCOMES else -1 for word in log.vocabularies["outcome"]]
        return cls(
            log.indptr, columns["happened_on"], columns["known_on"], columns["product"], columns["channel"],
            columns["treated"], columns["outcome"], columns["outcome_known_on"], columns.get("conversation", _ALL_OWN),
            np.array([*outcomes, -1], dtype=np.int8), channels_to(channel, log.vocabularies["channel"]),
        )  # fmt: skip


class ComplaintLog(NamedTuple):
    """The states' complaints."""

    indptr: NDArray[np.int64]
    known_on: NDArray[np.int32]
    resolved_on: NDArray[np.int32]

    @classmethod
    def of(cls, log: EventLog) -> ComplaintLog:
        """Those of `log`."""
        return cls(log.indptr, log.columns["known_on"], log.columns["resolved_on"])


@kernel
def _is_told(conversation, product, first, stop, fresh, day):  # type: ignore[no-untyped-def]
    """Whether one of the events from `first` to before `stop` tells what was said in a conversation about a product."""
    for event in range(first, stop):
        if (
            fresh.kinds[event] == OUTCOME
            and fresh.conversations[event] == conversation
            and fresh.products[event] == product
            and fresh.days[event] <= day
        ):
            return True
    return False


@kernel(inline="always")
def _gather(row, position, log, fresh_rows, fresh, fresh_channels, day, seen):  # type: ignore[no-untyped-def]
    """Put what is known of the customer's contacts by `day` into `seen`; how many there are.

    Columns of `seen`, int64, shape (n, 7): day of the contact, day of the outcome, product, whether through the
    channel in question, outcome (-1: none known yet), day until which a customer asked to wait, conversation (-1: one
    of its own). A contact that the states have from what the service was told is left to the event that tells of it:
    the event knows the last word, and the day that the customer named.
    """
    n = 0
    own = len(log.conversations) == 0
    for event in range(log.indptr[position], log.indptr[position + 1]):
        if log.known_on[event] > day or log.treated[event] == 0:
            continue
        conversation = np.int64(-1) if own else log.conversations[event]
        if conversation >= 0 and _is_told(
            conversation, log.products[event], fresh_rows[row, 0], fresh_rows[row, 1], fresh, day
        ):
            continue
        answered = log.outcome_known_on[event] <= day
        seen[n, 0], seen[n, 1] = log.happened_on[event], log.outcome_known_on[event]
        seen[n, 2], seen[n, 3] = log.products[event], log.channels[log.channel_codes[event]] == _THIS_CHANNEL
        seen[n, 4], seen[n, 5] = log.outcomes[log.outcome_codes[event]] if answered else -1, NO_DAY
        seen[n, 6] = conversation
        n += 1
    for event in range(fresh_rows[row, 0], fresh_rows[row, 1]):
        if fresh.kinds[event] == OUTCOME and fresh.days[event] <= day:
            seen[n, 0] = seen[n, 1] = fresh.days[event]
            seen[n, 2], seen[n, 3] = fresh.products[event], fresh_channels[fresh.channels[event]] == _THIS_CHANNEL
            seen[n, 4], seen[n, 5] = fresh.outcomes[event], fresh.until[event]
            seen[n, 6] = fresh.conversations[event]
            n += 1
    return n


@kernel(inline="always")
def _together(seen, one, other, scope, families):  # type: ignore[no-untyped-def]
    """Whether two contacts, by number, count together; `one` is what may be silenced."""
    if scope == _CHANNEL:
        return seen[one, 3] == 1 and seen[other, 3] == 1
    mine, its = seen[one, 2], seen[other, 2]
    if scope == _PRODUCT:
        return mine >= 0 and mine == its
    if scope == _FAMILY:
        return mine >= 0 and its >= 0 and families[mine] == families[its]
    return True


@kernel(inline="always")
def _within(seen, last, other, when, days, scope, families):  # type: ignore[no-untyped-def]
    """Whether contact `other` lies within `days` before `last`, and counts together with it."""
    return 0 <= seen[last, when] - seen[other, when] < days and _together(seen, last, other, scope, families)


@kernel(inline="always")
def _first_recent(seen, n, since):  # type: ignore[no-untyped-def]
    """The first contact that was made, or its outcome known, on the day `since` or later; `n`: none."""
    for contact in range(n):
        if seen[contact, 0] >= since or (seen[contact, 4] >= 0 and seen[contact, 1] >= since):
            return contact
    return n


@kernel(inline="always")
def _silence(seen, first, n, rule, day, tables, row, silenced):  # type: ignore[no-untyped-def]
    """Add the bit of `rule` to what it silences after contacts from `first` on; `silenced` has a row a customer."""
    outcome, scope, bit = tables.outcomes[rule], tables.scopes[rule], np.uint64(1) << np.uint64(rule)
    when = 0 if outcome == _CONTACTED else 1
    for last in range(first, n):
        if outcome != _CONTACTED and seen[last, 4] != outcome:
            continue
        if seen[last, when] > day or day > seen[last, when] + tables.silent[rule]:
            continue
        count = 0
        for other in range(n):
            if outcome != _CONTACTED and seen[other, 4] != outcome:
                continue
            if not _within(seen, last, other, when, tables.within[rule], scope, tables.families):
                continue
            counted = False  # as a contact: outcomes of one conversation are one
            for earlier in range(other if outcome == _CONTACTED and seen[other, 6] >= 0 else 0):
                counted = counted or (
                    seen[earlier, 6] == seen[other, 6]
                    and _within(seen, last, earlier, when, tables.within[rule], scope, tables.families)
                )
            if not counted:
                count += 1
        if count < tables.times[rule]:
            continue
        if scope == _PRODUCT:
            silenced[row, seen[last, 2]] |= bit
        elif scope == _FAMILY:
            family = tables.families[seen[last, 2]]
            for product in range(silenced.shape[1]):
                if tables.families[product] == family:
                    silenced[row, product] |= bit
        else:
            for product in range(silenced.shape[1]):
                silenced[row, product] |= bit
            return  # no other contact could silence more


@kernel(inline="always")
def _wait(seen, n, day, later, row, silenced, raised):  # type: ignore[no-untyped-def]
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
            silenced[row, product] |= np.uint64(1) << np.uint64(LATER_RULE)
        elif day < due + later[1]:
            raised[row, product] = True


@kernel(inline="always")
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


@kernel
def rows(  # type: ignore[no-untyped-def]
    start, stop, positions, log, complaints, fresh_rows, fresh, fresh_channels, day, tables, rules, raised, complaint
):
    """Write what is to be left in peace into some rows of the arrays of `Silences`; `rules` and `raised` are 0."""
    most = 0
    for row in range(start, stop):
        kept = log.indptr[positions[row] + 1] - log.indptr[positions[row]]
        most = max(most, kept + fresh_rows[row, 1] - fresh_rows[row, 0])
    seen = np.empty((most, 7), dtype=np.int64)
    longest = np.int64(0)
    for days in tables.silent:
        longest = max(longest, np.int64(days))
    for row in range(start, stop):
        position = positions[row]
        n = _gather(row, position, log, fresh_rows, fresh, fresh_channels, day, seen)
        if n > 0:
            first = _first_recent(seen, n, day - longest)
            for rule in range(len(tables.outcomes) if first < n else 0):
                _silence(seen, first, n, rule, day, tables, row, rules)
            if tables.later[0] >= 0:
                _wait(seen, n, day, tables.later, row, rules, raised)
        complaint[row] = _complains(row, position, complaints, fresh_rows, fresh, day)


@kernel
def exclude_rows(start, stop, rules, complaint, asked, tables, by_consent, reasons):  # type: ignore[no-untyped-def]
    """Add the reasons of consent and of this layer to some rows of `reasons`, uint32, shape (n_customers, n_products).

    Neither excludes a product in `asked`, shape (n_products,): answering a client is no marketing.
    """
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
