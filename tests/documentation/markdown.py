"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is written so that it ends no cell."""
    lines = [_line(head), "|" + "---|" * len(head)]
    lines += [_line([cell.replace("|", "\\|") for cell in row]) for row in rows]
    return "\n".join(lines)


def code(text: str) -> str:
    return f"`{text}`"


def sentence(text: str) -> str:
    """`text` on one line, with a full stop, and code as Markdown marks it."""
    words = " ".join(text.replace("``", "`").split())
    return words if words.endswith((".", ":", "?")) else f"{words}."


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
