"""Saying a thing twice counts once: entries under a key of the caller's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import Header

from ..access import Principal
from ..records import Entry, Records, new_entry_id
from .problems import Conflict

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Chosen by the caller: a request that is sent again under it counts once. Without one each counts",
        examples=["4b1d2f0e-feedback-1"],
    ),
]

_NAMESPACE = uuid.UUID("6f1a2a53-3c0c-4d0e-9a51-8a4a7f5d7c11")


def entry_id_of(what: str, principal: Principal, key: str | None) -> str:
    """The id of an entry: the same whenever the same caller uses the same key for the same purpose."""
    if key is None:
        return new_entry_id()
    return str(uuid.uuid5(_NAMESPACE, "\x00".join((what, principal.subject, key))))


async def written_once(records: Records, entries: Sequence[Entry], what: str) -> dict[str, Any] | None:
    """Put `entries` on record unless the first is there already; then what that says.

    Parameters
    ----------
    what : names in the payload what was said, all defaults filled in. What has to be the same is what the caller said
        of it, which stands beside it as "said": who asks again after midnight has said the same

    Raises
    ------
    Conflict : when the key was used for something else
    """
    if await records.append(entries):
        return None
    before = await records.find(entries[0].entry_id)
    if before is None or before.payload is None or before.customer_id != entries[0].customer_id:
        raise Conflict("the idempotency key was used for another customer")
    then, now = orjson.loads(before.payload), orjson.loads(entries[0].payload)
    part = "said" if "said" in then else what  # older entries have all of it, defaults and all
    if then[part] != now[part]:
        raise Conflict("the idempotency key was used for something else before: use a new one")
    found: dict[str, Any] = then[what]
    return found
