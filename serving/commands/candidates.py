"""Commands that make what a workspace names: a build of states, a champion. What they make is a candidate; what is
deployed stays in use."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .data import ConfigOption, MappingOption, TablesArgument, WorkspaceArgument
from .models import tracking_uri

if TYPE_CHECKING:
    from features.checks import CheckReport

    from ..deployment.inbox import Written

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer()

_DAYS_SHORT = 5  # a period whose last days are empty may not have ended when the tables were written


@app.command(rich_help_panel="Data")
def build(
    tables: TablesArgument,
    workspace: WorkspaceArgument,
    mapping: MappingOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Last day to look at; moved to the end of its period. Default: the period of the newest fact.",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Build customer states from tables: training and checks read them from now on.

    The tables are checked first; a failed check, or an interruption, leaves the build before as it was. What is
    deployed stays in use until the service is started anew or a swap puts the new build in its place. What was told
    over the service, refusals above all, is written into WORKSPACE/inbox first, and is part of the build.
    """
    from features.build import BuildConfig, build_states
    from features.checks import INBOX_CHECK
    from features.checks.checking import Status
    from features.progress import console, progress_bar

    from ..config_file import config_path, read_section
    from ..deployment import fill_inbox

    settings = read_section(config_path(config, workspace), "build", BuildConfig)
    told = fill_inbox(workspace, config, tables, mapping)
    with progress_bar() as progress:
        outcome = build_states(
            tables, workspace, settings, mapping=mapping, as_of=as_of.date() if as_of else None, progress=progress
        )
    manifest = outcome.states.manifest
    console.print(
        f"States {manifest.build_id}: {manifest.n_customers:,} customers, {manifest.n_accounts:,} accounts, "
        f"{len(outcome.states.catalogue)} products, {f'as of {manifest.as_of}' if manifest.dated else 'undated'}."
    )
    if outcome.newest_fact and not as_of:
        missing = (datetime.fromisoformat(manifest.as_of).date() - outcome.newest_fact).days
        if missing > _DAYS_SHORT:
            console.print(
                f"[yellow]The newest fact is of {outcome.newest_fact}, {missing} days before the period's end: if the "
                "period is not complete, build with --as-of the end of the one before.[/]"
            )
    _say_inbox(told, outcome.checks)
    warnings = [each for each in outcome.checks.with_status(Status.WARN) if each.name != INBOX_CHECK]
    if warnings:
        console.print(f"{len(warnings)} checks warn: nextproduct check {tables} explains them.")
    _say_going_live(workspace)


@app.command(rich_help_panel="Models")
def train(workspace: WorkspaceArgument, config: ConfigOption = None) -> None:
    """Fit every model, blend them and select on later periods, register the champion in MLflow.

    The newest periods are kept unseen for `evaluate`. To replace a champion only if the new one is not worse, use
    `retrain`.
    """
    from features.progress import console, progress_bar
    from training.config import TrainingConfig
    from training.jobs.train import train as run

    from ..config_file import config_path, read_section

    settings = read_section(config_path(config, workspace), "training", TrainingConfig)
    with progress_bar() as progress:
        outcome = run(workspace, settings, tracking_uri=tracking_uri(), progress=progress)
    ranked = sorted(outcome.validation.items(), key=lambda item: -item[1])
    figures = ", ".join(f"{name} {value:.4f}" for name, value in ranked)
    console.print(f"{settings.select_by} on the validation dates: {figures}")
    console.print(f"Champion: {outcome.selected}, version {outcome.version.number}.")
    console.print(outcome.effects)
    _say_going_live(workspace)


@app.command(rich_help_panel="Models")
def retrain(workspace: WorkspaceArgument, config: ConfigOption = None) -> None:
    """Build the newest states, train a challenger, and promote it only if it is not worse than the champion.

    Reads the tables that the states in use were built from, and what was told over the service, as `build` does. Killed
    at any moment, it leaves the champion in use.
    """
    from features.build import BuildConfig
    from features.progress import console, progress_bar
    from features.states import current_states
    from training.config import EvaluationConfig, TrainingConfig
    from training.jobs.train import retrain as run

    from ..config_file import config_path, read_section
    from ..deployment import fill_inbox

    path = config_path(config, workspace)
    source = current_states(workspace).manifest
    told = fill_inbox(workspace, config, Path(source.tables), Path(source.mapping) if source.mapping else None)
    with progress_bar() as progress:
        outcome = run(
            workspace,
            read_section(path, "build", BuildConfig),
            read_section(path, "training", TrainingConfig),
            read_section(path, "evaluation", EvaluationConfig),
            tracking_uri=tracking_uri(),
            progress=progress,
        )
    _say_inbox(told, outcome.checks)
    difference = outcome.difference
    console.print(
        f"{outcome.metric}: champion (version {outcome.champion.number}) {outcome.champion_value:.4f}, "
        f"challenger (version {outcome.challenger.number}) {outcome.challenger_value:.4f}, "
        f"difference {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
    )
    if outcome.promoted:
        console.print(f"Not worse: version {outcome.challenger.number} is the champion now.")
    else:
        console.print(f"Worse, or too uncertain: version {outcome.champion.number} stays the champion.")
    _say_going_live(workspace)


def _say_inbox(told: Written | None, checks: CheckReport) -> None:
    """What the records gave to the build, and what the build took of it."""
    from features.checks import INBOX_CHECK
    from features.progress import console

    if told is not None:
        console.print(str(told), soft_wrap=True)
    for result in checks.results:
        if result.name == INBOX_CHECK:
            keys = f" ({', '.join(result.first_keys)})" if result.first_keys else ""
            said = f"{result.table}: {result.message}{keys}. {result.remedy}".strip()
            console.print(said, markup=False, soft_wrap=True, style="yellow" if result.rows else None)


def _say_going_live(workspace: Path) -> None:
    from features.progress import console

    from ..deployment import going_live

    console.print(going_live(workspace), markup=False, soft_wrap=True)
