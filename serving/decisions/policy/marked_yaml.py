"""YAML that knows on which line each key stands, and that is read without YAML's surprises.

A key given twice is a problem, where YAML lets the last one win; ``yes``, ``no``, ``on`` and ``off`` are the words they
are (nothing in a policy is true or false); a day that the calendar lacks is text, which whoever expects a day refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .problems import BadPolicy, Problem

Key = Sequence[str | int]
"""The keys and list positions that lead to a place in a file."""

_NAMES = ("rule", "action")
"""Keys whose value is the name of the section they stand in."""


@dataclass(frozen=True)
class Document:
    """A YAML file, read, with its lines.

    Attributes
    ----------
    data : the file's bytes
    content : what they say
    root : the same as nodes, which know their lines
    duplicates : keys given twice in one section
    """

    path: Path
    data: bytes
    content: dict[str, Any]
    root: yaml.Node
    duplicates: tuple[Problem, ...]

    def problem(self, key: Key, message: str, *, fails: bool = True) -> Problem:
        """A problem at `key`; where the file lacks it, at the nearest section around it."""
        return Problem(self.path, self._places(key)[-1][1], self._name_of(key), message, fails)

    def says(self, key: Key) -> str | None:
        """The plain value at `key` as it is written; None: there is none, or it is a section or list."""
        places = self._places(key)
        node = places[-1][0]
        return node.value if len(places) > len(key) and isinstance(node, yaml.ScalarNode) else None

    def has(self, key: Key) -> bool:
        """Whether the file has something at `key`."""
        return len(self._places(key)) > len(key)

    def _places(self, key: Key) -> list[tuple[yaml.Node, int]]:
        """The node and line of the whole and of each part of `key`, as far as the file has them."""
        places = [(self.root, 1)]
        for part in key:
            child = _child(places[-1][0], part)
            if child is None:
                break
            places.append(child)
        return places

    def _name_of(self, key: Key) -> str:
        places = self._places(key)
        words = ""
        for depth, part in enumerate(key):
            known = depth + 1 < len(places)
            if isinstance(part, int):
                # a single name may stand for a list of one
                words += f"[{part}]" if known else ""
                name = _own_name(places[depth + 1][0]) if known else None
                words += f" ({name})" if name else ""
            elif part != "[key]":
                words += f".{part}" if words else part
        return words


def read_document(path: Path, what: str) -> Document:
    """Read a YAML file whose top is keys and values.

    Parameters
    ----------
    what : what it should be, for messages

    Raises
    ------
    BadPolicy : when there is no such file, it is not UTF-8, not YAML, empty, or no section of keys
    """
    if not path.is_file():
        raise BadPolicy([Problem(path, 1, "", f"there is no such file; name the YAML file of {what}")])
    return parse_document(path, path.read_bytes(), what)


def parse_document(path: Path, data: bytes, what: str) -> Document:
    """What `read_document` does, of bytes that were read from `path` before."""

    def refused(line: int, message: str) -> BadPolicy:
        return BadPolicy([Problem(path, line, "", message)])

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise refused(line, f"is not UTF-8 (byte {error.start}): save the file as UTF-8") from None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        duplicates = () if root is None else tuple(_duplicates(path, root))
        content = None if root is None else loader.construct_document(root)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise refused(line, f"has the character {error.character:#x}, which YAML does not allow: remove it") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise refused(mark.line + 1 if mark else 1, f"is not valid YAML: {said}") from None
    except RecursionError:
        raise refused(1, "is nested too deeply") from None
    if root is None or content is None:
        raise refused(1, f"is empty: write {what} into it, beginning with its name")
    if not isinstance(content, dict):
        raise refused(1, f"should be {what}, keys and values, and is {_kind_of(content)}")
    return Document(path, data, content, root, duplicates)


class _Loader(yaml.SafeLoader):
    """YAML's plain values without true and false, and with days that may not exist."""

    def _day(self, node: yaml.ScalarNode) -> object:
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader._day)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    """A section's value of a key, or a list's item, and its line: of a value that of its key."""
    if isinstance(node, yaml.MappingNode):
        # keys merged from elsewhere come first, the section's own overrule them
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None


def _own_name(node: yaml.Node) -> str | None:
    for name in _NAMES:
        found = _child(node, name)
        if found and isinstance(found[0], yaml.ScalarNode):
            return found[0].value
    return None


def _duplicates(path: Path, root: yaml.Node) -> Iterator[Problem]:
    waiting: list[tuple[str, yaml.Node]] = [("", root)]
    seen: set[int] = set()  # an alias can lead back to where it stands
    while waiting:
        name, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(f"{name}[{index}]", item) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            own = _own_name(node)
            within = f"{name} ({own})" if own and name else name
            first: dict[str, int] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                full = f"{within}.{key.value}" if within else key.value
                line = key.start_mark.line + 1
                if key.value in first:
                    message = f"is given twice, first in line {first[key.value]}: keep one"
                    yield Problem(path, line, full, message)
                first.setdefault(key.value, line)
                waiting.append((full, value))


def _kind_of(content: object) -> str:
    return "a list" if isinstance(content, list) else f"only {str(content)[:40]!r}"
