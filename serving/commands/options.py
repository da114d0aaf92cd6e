"""Options that several of this room's commands take, and how they print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..deployment import Door

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
ChannelOption = Annotated[
    str | None, typer.Option(help="Through which customers would be contacted. Default: the policy's first channel.")
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Offers a customer gets at most. Default: from the configuration.")
]
ByOption = Annotated[str | None, typer.Option(help="Who asks for it. Default: the user of this machine.")]


def say_versions(door: Door, *more: str) -> None:
    """Say on stderr with what was decided: stdout is the answer's."""
    typer.secho(" ".join([str(door), *more]), dim=True, err=True)


def print_json(content: dict[str, Any]) -> None:
    """Print `content`, Chinese text as it is."""
    import orjson

    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
