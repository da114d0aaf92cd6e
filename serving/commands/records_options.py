"""What the commands on the records have in common: their options, and how they open the records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import BadInput

if TYPE_CHECKING:
    from ..records import Records, RecordsConfig

RecordsArgument = Annotated[
    Path, typer.Argument(metavar="WORKSPACE", help="The workspace, or a file that `nextproduct log backup` wrote.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATE|TIME",
        help="Only entries since then, such as 2026-11-28 or 2026-11-28T17:30+08:00 (UTC where it does not say).",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def time_of(since: str | None) -> str | None:
    """A date or time as entries have it.

    Raises
    ------
    BadInput : when it is neither
    """
    if since is None:
        return None
    try:
        time = datetime.fromisoformat(since)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"--since: {since!r} is no date or time such as 2026-11-28 or 2026-11-28T17:30+08:00") from None
    return f"{time.isoformat(timespec='microseconds')[:26]}Z"


def records_settings(workspace: Path, config: Path | None) -> RecordsConfig:
    """Those of the configuration."""
    from ..config import ServingConfig
    from ..config_file import config_path, read_section

    return read_section(config_path(config, workspace), "serving", ServingConfig).records


def open_records(workspace: Path, config: Path | None, *, writable: bool = False) -> Records:
    """The records of a workspace, or in a file; a command makes none, and answers nobody whose decision would wait."""
    from ..records import Records

    if workspace.is_file() and not writable:
        return Records.open_file(workspace)
    settings = records_settings(workspace, config).model_copy(update={"on_failure": "refuse"})
    records = Records.open(workspace, settings, writable=False)
    if not writable:
        return records
    records.close()
    return Records.open(workspace, settings)
