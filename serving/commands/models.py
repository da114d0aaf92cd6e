"""Commands that judge and search: evaluate, backtest, uplift, tune."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .data import ConfigOption, WorkspaceArgument

app = typer.Typer()

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


def tracking_uri() -> str | None:
    """The MLflow server to use instead of the workspace's own store, as MLflow's users expect to name it."""
    return os.environ.get(TRACKING_VARIABLE) or None


@app.command(rich_help_panel="Models")
def evaluate(
    workspace: WorkspaceArgument,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the report, or the comparison, to this file.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Only compare two models of the champion's run, or champion and challenger."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What --compare compares by. Default: training.select_by.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Also feature importance and learning curve: minutes, not seconds.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Judge the champion and the other models of its run on data they have not seen.

    Only acquisitions count, only candidates are ranked; popularity is always beside the model. Also written to
    WORKSPACE/reports: evaluation.json, and evaluation.html to look at.
    """
    from features.files import check_path, write_text
    from features.progress import console, progress_bar, report_console
    from training.config import EvaluationConfig, TrainingConfig
    from training.jobs.evaluate import compare_models, evaluate
    from training.jobs.reports import PAGE
    from training.uplift.report import uplift_sentence

    from ..config_file import config_path, read_section

    if json_file is not None:
        check_path(json_file)
    path = config_path(config, workspace)
    settings = read_section(path, "evaluation", EvaluationConfig)
    training = read_section(path, "training", TrainingConfig)
    if compare is not None:
        with progress_bar() as progress:
            comparison = compare_models(
                workspace,
                *compare,
                metric or training.select_by,
                settings,
                tracking_uri=tracking_uri(),
                progress=progress,
            )
        if json_file is not None:
            write_text(json_file, comparison.to_json())
        typer.echo(comparison.sentence())
        return
    with progress_bar() as progress:
        report = evaluate(
            workspace, settings, training=training, full=full, tracking_uri=tracking_uri(), progress=progress
        )
    if json_file is not None:
        write_text(json_file, report.to_json())
    report_console().print(report.render())
    if report.uplift:
        console.print(uplift_sentence(report.uplift))
    console.print(f"To look at: {workspace / PAGE}")


@app.command(rich_help_panel="Models")
def backtest(
    workspace: WorkspaceArgument,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Go back to days of the past: build the states of that day, train and evaluate as one would have then.

    Reads the tables that the states in use were built from. Killed and started again, it goes on with the first day
    that is not finished. The result is kept in WORKSPACE/reports/backtest.json and shown by `evaluate` in its page.
    """
    from features.build import BuildConfig
    from features.files import check_path, write_text
    from features.progress import progress_bar, report_console
    from training.config import EvaluationConfig, TrainingConfig
    from training.evaluation.serial import to_json
    from training.evaluation.table import backtest_table
    from training.jobs.backtest import backtest as run

    from ..config_file import config_path, read_section

    if json_file is not None:
        check_path(json_file)
    path = config_path(config, workspace)
    with progress_bar() as progress:
        result = run(
            workspace,
            read_section(path, "build", BuildConfig),
            read_section(path, "training", TrainingConfig),
            read_section(path, "evaluation", EvaluationConfig),
            tracking_uri=tracking_uri(),
            progress=progress,
        )
    if json_file is not None:
        write_text(json_file, to_json(result))
    report_console().print(backtest_table(result))


@app.command(rich_help_panel="Models")
def uplift(
    workspace: WorkspaceArgument,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Measure what contacts change, and whether it can be foretold for whom: Qini, AUUC, uplift by tenth.

    Learns from contacts with a control arm that were made earlier, judges on later ones (on other customers, where all
    were made at once). Champions are left as they are: `train` learns effects for them. The report is kept in
    WORKSPACE/reports/uplift.json and in MLflow.
    """
    from features.files import check_path, write_text
    from features.progress import progress_bar, report_console
    from training.config import EvaluationConfig, TrainingConfig
    from training.evaluation.serial import to_json
    from training.jobs.uplift import measure_uplift

    from ..config_file import config_path, read_section

    if json_file is not None:
        check_path(json_file)
    path = config_path(config, workspace)
    with progress_bar() as progress:
        report = measure_uplift(
            workspace,
            read_section(path, "training", TrainingConfig),
            read_section(path, "evaluation", EvaluationConfig),
            tracking_uri=tracking_uri(),
            progress=progress,
        )
    report_console().print(report.render())
    if json_file is not None:
        write_text(json_file, to_json(report))


@app.command(rich_help_panel="Models")
def tune(
    workspace: WorkspaceArgument,
    model: Annotated[str, typer.Option(help="Model whose settings are tried.")] = "propensity",
    minutes: Annotated[float | None, typer.Option(min=0, help="Time after which no further trial begins.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all, those of earlier runs included.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Put the best settings into WORKSPACE/nextproduct.toml.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Search better settings of a model on past dates, for a while; run it again to go on.

    Trials are judged on the newest dates that `train` learns from, not on those it selects or is evaluated on. The
    settings in use come first, so the best is never worse than they are on these dates. Ctrl-C keeps what was done.
    """
    from features.progress import console, progress_bar
    from training.config import TrainingConfig, TuningConfig
    from training.tuning.search import tune as run
    from training.tuning.toml_changes import change_file

    from ..config_file import config_path, file_to_change, read_section

    path = config_path(config, workspace)
    if write:
        file_to_change(path, workspace)
    given = {name: value for name, value in (("minutes", minutes), ("trials", trials)) if value is not None}
    settings = read_section(path, "tuning", TuningConfig).model_copy(update=given)
    with progress_bar() as progress:
        outcome = run(
            workspace,
            model,
            read_section(path, "training", TrainingConfig),
            settings,
            tracking_uri=tracking_uri(),
            progress=progress,
        )
    console.print(outcome.summary(), markup=False)
    typer.echo(outcome.to_toml(), nl=False)
    if write and not outcome.interrupted:
        change_file(file_to_change(path, workspace), outcome.table, outcome.values)
        console.print(f"Written to {file_to_change(path, workspace)}.")
    if outcome.interrupted:
        raise typer.Exit(130)
