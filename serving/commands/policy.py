"""Commands on the policy: what it says in words, whether it is sound, putting it into use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..language import Language
from .data import ConfigOption, WorkspaceArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from features.states import CustomerStates

    from ..decisions.policy.problems import Problem

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer(
    name="policy",
    no_args_is_help=True,
    help="What may be offered to whom: the policy in words, whether it is sound, putting it into use.",
)

PolicyArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The policy: a YAML file.")]


@app.command()
def check(
    file: PolicyArgument,
    on: Annotated[
        Path | None,
        typer.Option(
            help="Workspace whose products, families, tiers and attributes the policy is to fit. Default: the one FILE "
            "lies in, if any."
        ),
    ] = None,
    language: Annotated[Language, typer.Option(help="Of the words.")] = Language.EN,
    config: ConfigOption = None,
) -> None:
    """Say in words what a policy does, and what is wrong with it: file, line, key and rule of each problem.

    Ends with exit code 1 when the policy cannot be used.
    """
    from ..config_file import clock_of, config_path
    from ..decisions.policy.check import check_policy, ended_levers
    from ..decisions.policy.loading import load_policy
    from ..decisions.policy.words import as_text, policy_words

    loaded = load_policy(file)
    workspace = on if on is not None else _workspace_around(file)
    states, today = _states_of(workspace), clock_of(config_path(config, workspace)).today()
    warnings: Iterable[Problem] = ()
    if states is not None:
        warnings = check_policy(loaded, states, today)
    elif loaded.policy.decision_day == "today":
        warnings = ended_levers(loaded, today)
    catalogue = None if states is None else states.catalogue
    typer.echo(as_text(policy_words(loaded.policy, language, catalogue)))
    typer.echo("")
    _warn(warnings)
    if states is None:
        typer.echo(
            f"{loaded.name} is sound by itself. Its products, families and attributes were not checked against a bank: "
            "add --on WORKSPACE."
        )
    else:
        typer.echo(f"{loaded.name} is sound.")


@app.command()
def use(file: PolicyArgument, workspace: WorkspaceArgument, config: ConfigOption = None) -> None:
    """Make a policy the workspace's own: it is checked against the newest build first, and what is refused changes
    nothing.

    What is deployed stays in use until the service is started anew or a swap puts the workspace's own in its place.
    """
    from features.progress import console

    from ..config_file import clock_of, config_path
    from ..decisions.policy.use import use_policy
    from ..deployment import going_live

    loaded, warnings = use_policy(file, workspace, clock_of(config_path(config, workspace)).today())
    _warn(warnings)
    console.print(f"{loaded.name} is the workspace's own now: {loaded.path}.", markup=False, soft_wrap=True)
    console.print(going_live(workspace), markup=False, soft_wrap=True)


def _warn(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        typer.secho(f"Warning: {warning}", fg=typer.colors.YELLOW, err=True)


def _workspace_around(file: Path) -> Path | None:
    from features.states import CURRENT, STATES_FOLDER

    return file.parent if (file.parent / STATES_FOLDER / CURRENT).is_file() else None


def _states_of(workspace: Path | None) -> CustomerStates | None:
    from features.states import current_states

    return None if workspace is None else current_states(workspace)
