"""The formats in which decisions stand on record: each tells its own, and older ones are read as if written in this.

A change of what is recorded that a reader of the old could not cope with, or without which it would read wrongly, is a
new format: `FORMAT` goes up by one and `_ADDED` says what older decisions are taken to have said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from .errors import NewerFormat

FORMAT = 2
"""The format that decisions are written in. 1: those that do not say."""

_ADDED: Mapping[int, Mapping[str, Any]] = {2: {}}
"""Of each format, the fields that it added to the question, and what they are in older ones."""


def decision_in(payload: bytes) -> dict[str, Any]:
    """What a decision on record says, in the format of today.

    Raises
    ------
    NewerFormat : when a newer version of nextproduct has written it
    """
    record: dict[str, Any] = orjson.loads(payload)
    written = record.get("format", 1)
    if written > FORMAT:
        raise NewerFormat(
            f"decision {record['decision_id']} is on record in format {written}, and this version of nextproduct reads "
            f"none newer than {FORMAT}: install the version that wrote it"
        )
    added = {name: value for number in range(written + 1, FORMAT + 1) for name, value in _ADDED[number].items()}
    return record | {"format": FORMAT, "request": added | record["request"]}
