"""Options that several of this room's commands take, and how they print JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
ChannelOption = Annotated[
    str | None, typer.Option(help="Through which customers would be contacted. Default: the policy's first channel.")
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Offers a customer gets at most. Default: from the configuration.")
]


def limit_of(limit: int | None, workspace: Path, config: Path | None) -> int:
    """The number of offers asked for, or else the configured one."""
    from features.config import config_path, read_section

    from .config import ServingConfig

    return limit or read_section(config_path(config, workspace), "serving", ServingConfig).default_limit


def print_json(content: dict[str, Any]) -> None:
    """Print `content`, Chinese text as it is."""
    import orjson

    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
