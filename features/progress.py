"""Progress on the terminal: a bar for work that takes more than a moment, silent where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(stderr=True)

_TABLE_WIDTH = 110


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error that shows what is being done, how far it is and for how long it has run.

    Nothing is drawn when standard error is not a terminal, so logs stay clean.
    """
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


def report_console() -> Console:
    """Standard output, wide enough for a table of figures where nobody said how wide it is or it is too narrow."""
    return Console(width=max(Console().width, _TABLE_WIDTH))
