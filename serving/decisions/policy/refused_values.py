"""What the schema refuses, in words for who wrote the policy: what stands there, what may stand there, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from .marked_yaml import Document
from .schema import Contradictions

Found = tuple[tuple[str | int, ...], str]
"""The keys that lead to a problem, and what it is."""

_GIVE = {
    "expires": "the last day on which it works, such as 2026-12-31",
    "owner": "who answers for it",
    "text": "what the RM reads, in English",
    "text_zh": "what the RM reads, in Chinese",
    "rule": "a name of its own",
    "decision_day": "today or as_of",
    "channels": "at least one",
    "pack": "the name of a shipped suitability pack, or its file",
}
"""What to give for a key that is missing, where the key alone does not say it."""

_EXPECTED = {
    "string_type": "text (if it is, put it in quotes)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number that is finite",
    "date_type": "a day, written as 2026-12-31",
    "date_parsing": "a day of the calendar, written as 2026-12-31",
    "date_from_datetime_parsing": "a day of the calendar, written as 2026-12-31",
    "date_from_datetime_inexact": "a day, written as 2026-12-31",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
"""What a value of another type should have been, by pydantic's names of errors."""


def errors_in(error: ValidationError, document: Document, model: type[BaseModel]) -> Iterator[Found]:
    """Everything that `model` refuses of what `document` says."""
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        key = tuple(detail["loc"])
        if isinstance(cause, Contradictions):
            yield from cause.found
        elif detail["type"] == "value_error":
            yield _narrowed(key, str(cause), document)
        else:
            yield key, _message(detail, key, document, model)


def _message(detail: Any, key: tuple[str | int, ...], document: Document, model: type[BaseModel]) -> str:
    kind, limits = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return f"required: give {_GIVE.get(str(key[-1]), 'it')}"
    if kind == "extra_forbidden":
        return _unknown_key(str(key[-1]), keys_at(model, key[:-1]))
    written = document.says(key)
    found = f"{written if written is not None else detail['input']!s:.60}"
    if written is None and isinstance(detail["input"], (dict, list, tuple)):
        found = "a list" if not isinstance(detail["input"], dict) else "keys and values"
    if detail["input"] is None:
        found = "nothing: fill it, or leave the key out"
    if kind in _EXPECTED:
        return f"should be {_EXPECTED[kind]}, and is {found}"
    if kind in ("literal_error", "enum"):
        return f"should be {limits['expected']}, and is {found}"
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return _wrong_length(kind, limits)
    if kind == "string_pattern_mismatch":
        return f"may have letters, digits, '_', '-' and '.' only, and is {found!r}"
    bound = _BOUNDS.get(kind)
    if bound:
        return f"should be {bound[1]} {limits[bound[0]]:g}, and is {found}"
    return f"{detail['msg']}, and is {found}"


_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def _wrong_length(kind: str, limits: dict[str, Any]) -> str:
    if kind.endswith("short"):
        return "names nothing: name something, or leave the key out"
    return f"has more than the {limits['max_length']} allowed"


def _unknown_key(name: str, known: tuple[str, ...]) -> str:
    return f"unknown key{meant(name, known)}; here may stand: {', '.join(known)}"


def meant(name: str, known: tuple[str, ...]) -> str:
    """Which of the `known` names was probably meant by `name`, as words to put behind it."""
    close = get_close_matches(name, known, n=1)
    return f", perhaps {close[0]!r} was meant" if close else ""


def _narrowed(key: tuple[str | int, ...], message: str, document: Document) -> Found:
    """A section's own check begins its message with the key that is wrong, where there is one."""
    name, colon, rest = message.partition(": ")
    if colon and document.has((*key, name)):
        return (*key, name), rest
    return key, message


def keys_at(model: type[BaseModel], key: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that the section at `key` may have."""
    kind: Any = model
    for part in key:
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = next(
                (field.annotation for name, field in kind.model_fields.items() if part in (name, field.alias)), None
            )
        else:
            # a list's items, or a dictionary's values
            arguments = [one for one in get_args(kind) if one is not Ellipsis]
            kind = arguments[-1] if arguments else None
    kind = _bare(kind)
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return ()
    return tuple(field.alias or name for name, field in kind.model_fields.items())


def _bare(kind: Any) -> Any:
    """A type without what annotates it and without None."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
    return kind
