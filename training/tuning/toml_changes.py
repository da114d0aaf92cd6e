"""Changing some values of a TOML configuration file and leaving the rest, comments included, as its owner wrote it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import BadConfiguration
from features.files import written_aside

Value = int | float | str


def toml_table(table: str, values: Mapping[str, Value]) -> str:
    """A table of simple values as TOML."""
    return "\n".join([f"[{table}]", *_lines(values)]) + "\n"


def with_values(text: str, table: str, values: Mapping[str, Value]) -> str:
    """`text` with `values` in `table`, a dotted name; keys that are there get a new value in their place.

    Raises
    ------
    BadConfiguration : when `text` is written in a way that cannot be changed safely
    """
    lines = text.splitlines()
    headers = [number for number, line in enumerate(lines) if re.match(r"\s*\[", line)]
    mine = [number for number in headers if _named(lines[number]) == table]
    if mine:
        start = mine[0] + 1
        end = min((number for number in headers if number >= start), default=len(lines))
        body, added = lines[start:end], []
        for key, line in zip(values, _lines(values), strict=True):
            places = [place for place, old in enumerate(body) if re.match(rf"\s*{re.escape(key)}\s*=", old)]
            if places:
                comment = re.search(r"\s+#.*$", body[places[0]])
                body[places[0]] = line + (comment.group() if comment else "")
            else:
                added.append(line)
        lines[start:end] = [*added, *body]
        changed = "\n".join(lines) + "\n"
    else:
        changed = text.rstrip("\n") + ("\n\n" if text.strip() else "") + toml_table(table, values)
    if _parsed(changed) != _merged(_parsed(text) or {}, table.split("."), values):
        raise BadConfiguration(
            f"[{table}] is written in a way that cannot be changed without risk to the rest; put these in by hand:\n"
            f"{toml_table(table, values)}"
        )
    return changed


def change_file(path: Path, table: str, values: Mapping[str, Value]) -> None:
    """Put `values` into `table` of a TOML file, which is made if need be, in one step.

    Raises
    ------
    BadConfiguration : when the file is written in a way that cannot be changed safely
    """
    changed = with_values(path.read_text(encoding="utf-8") if path.is_file() else "", table, values)
    with written_aside(path) as aside:
        aside.write_text(changed, encoding="utf-8")
        if path.is_file():
            aside.chmod(path.stat().st_mode)


def _lines(values: Mapping[str, Value]) -> list[str]:
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _named(header: str) -> str:
    """The name in a plain table header; nothing for others."""
    found = re.match(r"\s*\[([^\[\]\"']+)\]\s*(#.*)?$", header)
    return re.sub(r"\s", "", found.group(1)) if found else ""


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _merged(content: dict[str, Any], path: list[str], values: Mapping[str, Value]) -> dict[str, Any]:
    if not path:
        return content | dict(values)
    below = content.get(path[0], {})
    return content | {path[0]: _merged(below if isinstance(below, dict) else {}, path[1:], values)}
