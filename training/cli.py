"""Commands that learn and judge: train, evaluate, retrain."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from features.cli import ConfigOption, WorkspaceArgument

app = typer.Typer()

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


def tracking_uri() -> str | None:
    """The MLflow server to use instead of the workspace's own store, as MLflow's users expect to name it."""
    return os.environ.get(TRACKING_VARIABLE) or None


@app.command(rich_help_panel="Models")
def train(workspace: WorkspaceArgument, config: ConfigOption = None) -> None:
    """Fit every model, select the best on later periods, register it in MLflow as the champion.

    The newest periods are kept unseen for `evaluate`. To replace a champion only if the new one is not worse, use
    `retrain`.
    """
    from features.config import config_path, read_section
    from features.progress import console, progress_bar

    from .config import TrainingConfig
    from .jobs import train as run

    settings = read_section(config_path(config, workspace), "training", TrainingConfig)
    with progress_bar() as progress:
        outcome = run(workspace, settings, tracking_uri=tracking_uri(), progress=progress)
    ranked = sorted(outcome.validation.items(), key=lambda item: -item[1])
    figures = ", ".join(f"{name} {value:.4f}" for name, value in ranked)
    console.print(f"{settings.select_by} on the validation dates: {figures}")
    console.print(f"Champion: {outcome.selected}, version {outcome.version.number}.")


@app.command(rich_help_panel="Models")
def evaluate(
    workspace: WorkspaceArgument,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Judge the champion and the other models of its run on data they have not seen.

    Only acquisitions count, only candidates are ranked; popularity is always beside the model.
    """
    from features.config import config_path, read_section
    from features.progress import progress_bar, report_console

    from .config import EvaluationConfig
    from .jobs import check_path, evaluate_champion, write_aside

    if json_file is not None:
        check_path(json_file)
    settings = read_section(config_path(config, workspace), "evaluation", EvaluationConfig)
    with progress_bar() as progress:
        report = evaluate_champion(workspace, settings, tracking_uri=tracking_uri(), progress=progress)
    report_console().print(report.render())
    if json_file is not None:
        write_aside(json_file, report.to_json())


@app.command(rich_help_panel="Models")
def retrain(workspace: WorkspaceArgument, config: ConfigOption = None) -> None:
    """Build the newest states, train a challenger, and promote it only if it is not worse than the champion.

    Reads the tables that the states in use were built from. Killed at any moment, it leaves the champion in use.
    """
    from features.build import BuildConfig
    from features.config import config_path, read_section
    from features.progress import console, progress_bar

    from .config import EvaluationConfig, TrainingConfig
    from .jobs import retrain as run

    path = config_path(config, workspace)
    with progress_bar() as progress:
        outcome = run(
            workspace,
            read_section(path, "build", BuildConfig),
            read_section(path, "training", TrainingConfig),
            read_section(path, "evaluation", EvaluationConfig),
            tracking_uri=tracking_uri(),
            progress=progress,
        )
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
