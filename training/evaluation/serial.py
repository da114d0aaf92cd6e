"""Results as JSON and back: dataclasses of numbers, texts, mappings, tuples; what is undefined is null, never NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter

Result = TypeVar("Result")


def plain(value: Any) -> Any:
    """`value` of what JSON knows."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json(value: Any) -> str:
    """Indented JSON of a result."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def from_json(kind: type[Result], text: str) -> Result:
    """Read what `to_json` wrote.

    Raises
    ------
    pydantic.ValidationError : when it is not a result of that kind
    """
    return TypeAdapter(kind).validate_json(text)
