"""Commands on who may see what: tokens for trying the demonstration, keys for machines."""

from __future__ import annotations

from typing import Annotated

import typer

from features.cli import WorkspaceArgument

from .access.roles import Role

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
    ttl: Annotated[int, typer.Option(metavar="SECONDS", min=1, max=86_400, help="Until it expires.")] = 3600,
) -> None:
    """Print a token for trying the service of a demonstration: send it as `Authorization: Bearer TOKEN`.

    Only a workspace that `nextproduct demo` made has the key for it, and its service accepts it only while no
    serving.access.jwks is configured. In production tokens come from the bank's identity provider.
    """
    from .access.demo_key import issue_demo_token

    typer.echo(issue_demo_token(workspace, role, rm, branch, subject, ttl))


@keys.command()
def create(
    workspace: WorkspaceArgument,
    name: Annotated[str, typer.Option(help="Whose it is, for people to read in the list.")],
    role: RoleOption,
    rm: RmOption = None,
    branch: BranchOption = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it expires. Default: it does not.")] = None,
) -> None:
    """Make a key for a machine and print it, once: only a hash of it is kept. Send it as `X-API-Key: KEY`."""
    from features.progress import console

    from .access.api_keys import create_api_key

    typer.echo(create_api_key(workspace, name, role, rm, branch, days))
    console.print("Keep it where secrets are kept: it cannot be shown again.")


@keys.command("list")
def list_keys(workspace: WorkspaceArgument) -> None:
    """Show all keys ever made, without their secrets."""
    from datetime import UTC, datetime

    from rich.table import Table

    from features.progress import report_console

    from .access.api_keys import list_api_keys

    found = list_api_keys(workspace)
    if not found:
        typer.echo(f"{workspace} has no keys.")
        return
    now = datetime.now(UTC)
    table = Table(title="Keys for machines")
    for column in ("id", "name", "role", "RM", "branch", "created", "expires", "state"):
        table.add_column(column)
    for key in found:
        expires = "" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}"
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
    from .access.api_keys import revoke_api_key

    revoked = revoke_api_key(workspace, key_id)
    typer.echo(f"{revoked.id} is revoked.")


app.add_typer(keys, name="key", rich_help_panel="Access")
