"""Commands on who may see what: tokens for trying the demonstration, keys for machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..access.roles import Role
from .data import ConfigOption, WorkspaceArgument

if TYPE_CHECKING:
    from ..access.config import AccessConfig

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer()
keys = typer.Typer(
    no_args_is_help=True,
    help="Keys by which machines call the service: create, list and revoke them.",
)

RoleOption = Annotated[Role, typer.Option(help="What whoever presents it may do.")]
RmOption = Annotated[
    str | None, typer.Option("--rm", metavar="RM_ID", help="As in the customers table; the role rm needs it.")
]
BranchOption = Annotated[
    str | None,
    typer.Option("--branch", metavar="BRANCH_ID", help="As in the customers table; the role team_lead needs it."),
]


@app.command(rich_help_panel="Access")
def token(
    workspace: WorkspaceArgument,
    role: RoleOption,
    rm: RmOption = None,
    branch: BranchOption = None,
    subject: Annotated[str | None, typer.Option(help="Who it is for. Default: the RM, or else the role.")] = None,
    ttl: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=1, help="Until it expires; serving.access.max_token_seconds are the most."),
    ] = 3600,
    config: ConfigOption = None,
) -> None:
    """Print a token for trying the service of a demonstration: send it as `Authorization: Bearer TOKEN`.

    Only a workspace that `nextproduct demo` made has the key for it, and its service accepts it only while no
    serving.access.jwks is configured. In production tokens come from the bank's identity provider.
    """
    from ..access.demo_key import issue_demo_token

    longest = _settings(workspace, config).max_token_seconds
    made = issue_demo_token(workspace, role, rm, branch, subject, ttl, longest)
    _check_whose(workspace, rm, branch)
    typer.echo(made)


@keys.command()
def create(
    workspace: WorkspaceArgument,
    name: Annotated[str, typer.Option(help="Whose it is, for people to read in the list.")],
    role: RoleOption,
    rm: RmOption = None,
    branch: BranchOption = None,
    days: Annotated[int, typer.Option(min=1, help="Until it expires; serving.access.max_key_days are the most.")] = 90,
    config: ConfigOption = None,
) -> None:
    """Make a key for a machine and print it, once: only a hash of it is kept. Send it as `X-API-Key: KEY`."""
    from features.progress import console

    from ..access.api_keys import create_api_key

    longest = _settings(workspace, config).max_key_days
    _check_whose(workspace, rm, branch)
    typer.echo(create_api_key(workspace, name, role, rm, branch, days, longest))
    console.print(f"Keep it where secrets are kept: it cannot be shown again. It expires in {days} days.")


@keys.command("list")
def list_keys(workspace: WorkspaceArgument) -> None:
    """Show all keys ever made, without their secrets."""
    from datetime import UTC, datetime

    from rich.table import Table

    from features.progress import report_console

    from ..access.api_keys import list_api_keys

    found = list_api_keys(workspace)
    if not found:
        typer.echo(f"{workspace} has no keys.")
        return
    now = datetime.now(UTC)
    table = Table(title="Keys for machines")
    for column in ("id", "name", "role", "RM", "branch", "created", "expires", "state"):
        table.add_column(column)
    for key in found:
        expires = _NO_EXPIRY if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}"
        table.add_row(
            key.id, key.name, key.role, key.rm_id, key.branch_id, f"{key.created_at:%Y-%m-%d}", expires, key.state(now)
        )
    report_console().print(table)


@keys.command()
def revoke(
    workspace: WorkspaceArgument,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As in the list: the part between np_ and the secret.")],
) -> None:
    """Have a key refused from now on; a running service refuses it within a second."""
    from ..access.api_keys import revoke_api_key

    revoked = revoke_api_key(workspace, key_id)
    typer.echo(f"{revoked.id} is revoked.")


app.add_typer(keys, name="key", rich_help_panel="Access")

_NO_EXPIRY = "no expiry: made before; replace"


def _settings(workspace: Path, config: Path | None) -> AccessConfig:
    from ..config import ServingConfig
    from ..config_file import config_path, read_section

    return read_section(config_path(config, workspace), "serving", ServingConfig).access


def _check_whose(workspace: Path, rm: str | None, branch: str | None) -> None:
    """See to it that the RM and the branch have customers, where there are any customers yet."""
    if rm is None and branch is None:
        return
    from features.errors import NotReady
    from features.states import current_states

    from ..access.whose import check_whose
    from ..deployment.deployments import current
    from ..deployment.opening import open_states

    in_use = current(workspace)
    try:
        states = current_states(workspace) if in_use is None else open_states(workspace, in_use.states)
    except NotReady as error:
        named = " and ".join(name for name in (rm, branch) if name is not None)
        typer.secho(f"Warning: {named} cannot be checked: {error}", fg=typer.colors.YELLOW, err=True)
        return
    check_whose(states, rm, branch, workspace)
