"""What one person asks for and another allows: both on record, and what comes of it with the second.

A request and what is decided of it are entries of kind approval. What concerns a customer stands in entries of that
customer's, so that erasure finds it; the request itself then says only that there was one. A request is decided once,
since the entry that decides it has an id that follows from the request's.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from features.errors import NextProductError

from ..access import NotAllowed, Principal, Role
from ..records import Entry, Records, StoredEntry
from ..records.entries import APPROVAL
from .caller import caller_of

LONGEST_DAYS = 365
"""Days that a request can stay open."""

_NAMESPACE = uuid.UUID("5f0cf5d0-8e0f-4f3f-8d8a-0b8f1c1e7a34")
_REQUEST, _CONTENT, _DECISION = "request", "content", "decision"


class Status(StrEnum):
    """How a request stands."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    LAPSED = "lapsed"


class Verdict(StrEnum):
    """What may be decided of a request."""

    APPROVE = "approve"
    REFUSE = "refuse"


class NotOpen(NextProductError):
    """A request that was decided already, has lapsed, or can be granted no more."""


@dataclass(frozen=True)
class Decision:
    """What was decided of a request.

    Attributes
    ----------
    by : who, as in the records
    at : when, UTC
    """

    verdict: Verdict
    reason: str | None
    by: Mapping[str, str]
    at: str


@dataclass(frozen=True)
class Approval:
    """A request, and what was decided of it.

    Attributes
    ----------
    requested_by : who, as in the records
    requested_at, lapses_at : UTC
    seq : of the request, in the chain
    customer_id : whom it concerns, if anybody
    content : what is asked for, see its kind
    """

    approval_id: str
    kind: str
    requested_by: Mapping[str, str]
    requested_at: str
    lapses_at: str
    seq: int
    customer_id: str | None
    content: Mapping[str, Any]
    decision: Decision | None

    @property
    def status(self) -> Status:
        """How it stands now."""
        if self.decision is not None:
            return Status.APPROVED if self.decision.verdict is Verdict.APPROVE else Status.REFUSED
        return Status.OPEN if datetime.now(UTC).isoformat() < self.lapses_at else Status.LAPSED

    def is_asked_by(self, principal: Principal) -> bool:
        """Whether the principal made the request."""
        return self.requested_by["subject"] == principal.subject


@dataclass(frozen=True)
class Kind:
    """Something that takes a second person.

    Attributes
    ----------
    requested_by, approved_by : roles; over their own customers only where it concerns one
    check : given the approval and the events of its customer on record, raises `NotOpen` where it cannot be granted
        any more
    effects : entries that are written with the approval, so that it has its effect wholly or not at all
    """

    requested_by: frozenset[Role]
    approved_by: frozenset[Role]
    check: Callable[[Approval, Sequence[StoredEntry]], None] = lambda approval, events: None
    effects: Callable[[Approval, Principal, str, str], tuple[Entry, ...]] = lambda *_: ()


def check_may_request(kind: Kind, principal: Principal, named: str) -> None:
    """See to it that the principal may ask for something of that kind.

    Raises
    ------
    NotAllowed : otherwise
    """
    if principal.role not in kind.requested_by:
        raise NotAllowed(f"the role {principal.role} may not ask for an approval of kind {named!r}: {_who(kind)}")


def request_entries(
    approval_id: str, kind: str, content: Mapping[str, Any], *, said: Mapping[str, Any], customer_id: str | None,
    days: int, principal: Principal, request_id: str,
) -> tuple[Entry, ...]:  # fmt: skip
    """A request for the records, what is the same whenever it is made again in the first of them.

    Parameters
    ----------
    said : what is asked for in the caller's own words, without what was filled in
    customer_id : whom it concerns, if anybody
    days : until it lapses
    """
    step: dict[str, Any] = {"step": _REQUEST, "kind": kind}
    beside: dict[str, Any] = {}
    entries: list[Entry] = []
    if customer_id is None:
        step["content"], beside["said"] = content, said
    else:
        told = {"approval": {"step": _CONTENT, "of": approval_id, "content": content}, "said": said}
        entries.append(Entry(APPROVAL, _derived(_CONTENT, approval_id), customer_id, orjson.dumps(told)))
    lapses = datetime.now(UTC) + timedelta(days=days)
    payload = {
        "approval": step, "lapses_at": lapses.isoformat(timespec="seconds"), "caller": caller_of(principal),
        "request_id": request_id,
    }  # fmt: skip
    return (*entries, Entry(APPROVAL, approval_id, None, orjson.dumps(payload | beside)))


async def find_approval(records: Records, approval_id: str) -> Approval | None:
    """The approval of that id; None: there is none, or it was erased with its customer.

    Raises
    ------
    RecordsUnavailable : when the records cannot be read
    """
    request = await records.find(approval_id)
    if request is None:
        return None
    return next(iter(await _completed(records, [request])), None)


async def approvals_since(records: Records, since: str) -> list[Approval]:
    """All approvals that were requested since a time, the oldest first.

    Raises
    ------
    RecordsUnavailable : when the records cannot be read
    """
    return await _completed(records, await records.of_nobody(APPROVAL, since))


async def decide(
    records: Records, approval: Approval, kind: Kind, verdict: Verdict, reason: str | None, *, principal: Principal,
    alone: bool, request_id: str,
) -> tuple[Approval, bool]:  # fmt: skip
    """Approve or refuse a request; whoever does it twice does it once.

    Parameters
    ----------
    alone : whether who asked may also decide

    Returns
    -------
    The approval, decided, and whether it was already, in the same words by the same person

    Raises
    ------
    NotAllowed : when it is not the principal's to decide
    NotOpen : when somebody else has decided it, or otherwise; when it has lapsed or can be granted no more
    RecordsUnavailable : when it cannot be put on record
    """
    _check_may_decide(approval, kind, principal, alone=alone)
    decided = approval.decision
    if decided is None:
        _check_open(approval)
        if verdict is Verdict.APPROVE:
            customer_id = approval.customer_id
            events = [] if customer_id is None else (await records.events_of([customer_id])).get(customer_id, [])
            kind.check(approval, events)
        said = {"step": _DECISION, "of": approval.approval_id, "decision": verdict.value, "reason": reason}
        payload = {"approval": said, "caller": caller_of(principal), "request_id": request_id}
        entry_id = _derived(_DECISION, approval.approval_id)
        entries = [Entry(APPROVAL, entry_id, approval.customer_id, orjson.dumps(payload))]
        if verdict is Verdict.APPROVE:
            effect_id = _derived("effect", approval.approval_id)
            entries += kind.effects(approval, principal, effect_id, request_id)
        is_first = await records.append(entries)
        found = await find_approval(records, approval.approval_id)
        if found is None or found.decision is None:
            raise NotOpen(f"approval {approval.approval_id} was erased meanwhile")
        if is_first:
            return found, False
        approval, decided = found, found.decision
    if (decided.verdict, decided.reason, decided.by["subject"]) != (verdict, reason, principal.subject):
        raise NotOpen(
            f"approval {approval.approval_id} was decided already: {approval.status} by {decided.by['subject']} at "
            f"{decided.at}"
        )
    return approval, True


def may_decide(approval: Approval, kind: Kind, principal: Principal, *, alone: bool) -> bool:
    """Whether a request is open, and the principal's to decide; of a customer of theirs."""
    try:
        _check_may_decide(approval, kind, principal, alone=alone)
        _check_open(approval)
    except (NotAllowed, NotOpen):
        return False
    return True


def _check_may_decide(approval: Approval, kind: Kind, principal: Principal, *, alone: bool) -> None:
    if principal.role not in kind.approved_by:
        raise NotAllowed(
            f"the role {principal.role} may not decide an approval of kind {approval.kind!r}: {_who(kind)}"
        )
    if principal.how != "token":
        raise NotAllowed("a machine's key cannot decide an approval: it takes a person's token")
    if approval.is_asked_by(principal) and not alone:
        raise NotAllowed("who asks for an approval cannot give it: it takes another person")


def _check_open(approval: Approval) -> None:
    if approval.status is Status.LAPSED:
        raise NotOpen(f"approval {approval.approval_id} lapsed at {approval.lapses_at}: ask for it anew")


def _who(kind: Kind) -> str:
    asking, giving = (", ".join(sorted(roles)) for roles in (kind.requested_by, kind.approved_by))
    return f"it is asked for by {asking}, and decided by {giving}"


async def _completed(records: Records, entries: Sequence[StoredEntry]) -> list[Approval]:
    """The approvals that are requested in some entries; entries that request none are passed over."""
    requests = [(entry, content) for entry in entries if (content := _request_in(entry)) is not None]
    ids = [_derived(step, entry.entry_id) for entry, _ in requests for step in (_CONTENT, _DECISION)]
    found = await records.entries_by_id(ids)
    completed = (_approval(entry, content, found) for entry, content in requests)
    return [approval for approval in completed if approval is not None]


def _request_in(entry: StoredEntry) -> dict[str, Any] | None:
    if entry.kind != APPROVAL or entry.payload is None:
        return None
    content: dict[str, Any] = orjson.loads(entry.payload)
    return content if content["approval"]["step"] == _REQUEST else None


def _approval(request: StoredEntry, said: dict[str, Any], found: Mapping[str, StoredEntry]) -> Approval | None:
    content, customer_id = said["approval"].get("content"), None
    if content is None:
        own = found.get(_derived(_CONTENT, request.entry_id))
        if own is None or own.payload is None:  # erased with the customer
            return None
        content, customer_id = orjson.loads(own.payload)["approval"]["content"], own.customer_id
    decided = found.get(_derived(_DECISION, request.entry_id))
    decision = None
    if decided is not None:
        if decided.payload is None:
            return None
        told = orjson.loads(decided.payload)
        decision = Decision(
            Verdict(told["approval"]["decision"]), told["approval"]["reason"], told["caller"], decided.at
        )
    return Approval(
        request.entry_id, said["approval"]["kind"], said["caller"], request.at, said["lapses_at"], request.seq,
        customer_id, content, decision,
    )  # fmt: skip


def _derived(step: str, approval_id: str) -> str:
    """The id of a further entry of an approval."""
    return str(uuid.uuid5(_NAMESPACE, f"{step}\0{approval_id}"))
