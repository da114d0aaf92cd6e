"""Commands on the bank's data: import, check, build, and the feature dictionary."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer()
features_app = typer.Typer(no_args_is_help=True, help="The features computed for every customer.")
app.add_typer(features_app, name="features", rich_help_panel="Data")

TablesArgument = Annotated[
    Path, typer.Argument(help="Folder of the contract's tables (Parquet or CSV), or a DuckDB database file.")
]
WorkspaceArgument = Annotated[Path, typer.Argument(help="Folder that keeps states, models, reports and lists.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file (TOML or YAML). Default: WORKSPACE/nextproduct.toml, if any."),
]
MappingOption = Annotated[
    Path | None, typer.Option("--mapping", help="YAML file that maps the bank's own table and column names.")
]


class ImportFormat(StrEnum):
    """Foreign formats that can be turned into the input contract."""

    bruun = "bruun"
    hillstrom = "hillstrom"
    scf = "scf"
    coil = "coil"
    santander = "santander"


@app.command("import", rich_help_panel="Data")
def import_(
    format_: Annotated[
        ImportFormat,
        typer.Argument(
            metavar="FORMAT",
            help="bruun: purchases of an insurer (RecSys 2022). scf: US Survey of Consumer Finances. "
            "coil: policies of an insurer (CoIL Challenge 2000). santander: Kaggle's train_ver2.csv. "
            "hillstrom: e-mail campaign with control arm (MineThatData 2008).",
        ),
    ],
    source: Annotated[
        Path, typer.Argument(help="The downloaded folder (bruun, scf, coil, hillstrom) or file (santander).")
    ],
    tables: Annotated[Path, typer.Argument(help="New folder for the contract's tables.")],
) -> None:
    """Turn a known data set into the input contract.

    Afterwards: nextproduct build TABLES WORKSPACE
    """
    from features.progress import console, progress_bar
    from features.sources.importers import import_bruun, import_coil, import_hillstrom, import_santander, import_scf

    importers = {
        "bruun": import_bruun,
        "hillstrom": import_hillstrom,
        "scf": import_scf,
        "coil": import_coil,
        "santander": import_santander,
    }
    with progress_bar() as progress:
        importers[format_.value](source, tables, progress)
    console.print(f"Tables are in {tables}. Next: nextproduct build {tables} WORKSPACE")


@app.command(rich_help_panel="Data")
def check(
    tables: TablesArgument,
    mapping: MappingOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day after which facts lie in the future. Default: today."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Check tables against the input contract: PASS, WARN or FAIL for each rule, with the remedy.

    Ends with exit code 1 when a check fails.
    """
    from features.build import BuildConfig
    from features.calendar import Calendar
    from features.checks import checks_table, run_checks
    from features.files import check_path, write_text
    from features.progress import progress_bar, report_console
    from features.sources import BankTables

    from ..config_file import config_path, read_section

    if json_file is not None:
        check_path(json_file)
    settings = read_section(config_path(config, None), "build", BuildConfig)
    with (
        BankTables.open(tables, mapping, memory_limit=settings.memory_limit, threads=settings.threads) as opened,
        progress_bar() as progress,
    ):
        report = run_checks(opened, Calendar(settings.period), (as_of or datetime.now()).date(), progress)
    report_console().print(checks_table(report))
    if json_file is not None:
        write_text(json_file, report.to_json())
    if report.failed:
        raise typer.Exit(1)


@features_app.command("list")
def list_features(
    workspace: WorkspaceArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print the feature dictionary: what every feature of a workspace's states is, its topic in reasons, and the
    attributes of customers it is made of: a policy that hides one of these from the models hides the feature."""
    from rich.table import Table

    from features import feature_set_of
    from features.progress import report_console
    from features.states import current_states

    dictionary = feature_set_of(current_states(workspace)).dictionary()
    if as_json:
        typer.echo(json.dumps(dictionary, ensure_ascii=False, indent=1))
        return
    table = Table(title=f"{len(dictionary)} features")
    shown = ("name", "family", "dtype", "meaning", "topic", "sources")
    for column in shown:
        table.add_column(column, overflow="fold")
    for row in dictionary:
        table.add_row(*(row[column] for column in shown))
    report_console().print(table)
