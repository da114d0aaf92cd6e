"""Commands that take something out of the records: a copy, all that is held of a person, facts for measurement, and who
looked at a customer."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from features.errors import BadInput

from .data import ConfigOption, WorkspaceArgument
from .options import AsJson, ByOption
from .records_options import RecordsArgument, SinceOption, open_records, time_of

app = typer.Typer()


@app.command()
def backup(
    workspace: WorkspaceArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="SQLite file to write; it may not be there yet.")],
    config: ConfigOption = None,
) -> None:
    """Copy all that is on record to a file, as it is now, while the service goes on writing.

    `log verify OUT` and `log show OUT` work on the copy. As WORKSPACE/records.db it takes the records' place.
    """
    from contextlib import closing

    from features.files import check_path

    from ..records import back_up

    check_path(out)
    with closing(open_records(workspace, config)) as records:
        done = back_up(records, out)
    typer.echo(f"{out} holds all entries up to {done.head.seq:,}.\nHead: {done.head}")
    if done.waiting:
        typer.secho(
            f"Not in it: the decisions in {done.waiting:,} files of records-queue/, which are not on record yet.",
            fg=typer.colors.YELLOW,
        )


@app.command("export")
def export_(
    workspace: WorkspaceArgument,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="Whose entries are written.")],
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="File to write; an earlier one is replaced.")],
    by: ByOption = None,
    config: ConfigOption = None,
) -> None:
    """Write all that is on record of a person to one file (PIPL, GDPR); that it was done is on record, too."""
    from contextlib import closing

    from features.files import check_path

    from ..records.export import export

    check_path(out)
    with closing(open_records(workspace, config, writable=True)) as records:
        count = export(records, customer_id, out, by=by or getpass.getuser())
    typer.echo(f"{count:,} entries of customer {customer_id} in {out}, this look among them.")
    typer.echo("What the bank's tables told the states of the customer is not in it; the overview shows that.")


@app.command()
def facts(
    workspace: RecordsArgument,
    out: Annotated[Path, typer.Option(metavar="FILE.parquet", help="File to write; an earlier one is replaced.")],
    config: ConfigOption = None,
) -> None:
    """Write what was suggested and what became of it, a row for each product of each decision, for measurement."""
    from contextlib import closing

    from features.files import check_path
    from features.progress import progress_bar

    from ..records.facts import write_facts

    if out.suffix != ".parquet":
        raise BadInput(f"facts are written as Parquet: name {out} .parquet")
    check_path(out)
    with closing(open_records(workspace, config)) as records, progress_bar() as progress:
        done = write_facts(records, out, progress)
    typer.echo(f"{done.rows:,} suggestions of {done.decisions:,} decisions in {out}.")
    typer.echo(f"Not in it: {done.empty:,} decisions that suggested nothing, {done.erased:,} erased or forgotten.")


@app.command()
def looks(
    workspace: RecordsArgument,
    customer: Annotated[str, typer.Option(metavar="CUSTOMER_ID", help="At whom.")],
    since: SinceOption = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """List who looked at a customer, when and at what, the newest last; with --json, a line each."""
    from contextlib import closing

    import orjson

    from ..records.looks import looks_at

    with closing(open_records(workspace, config)) as records:
        found = looks_at(records, customer, since=time_of(since))
        if as_json:
            for look in found:
                typer.echo(orjson.dumps(look.to_dict()).decode())
            return
        from rich.table import Table

        from features.progress import report_console

        table = Table()
        for column in ("seq", "at", "what", "times", "who", "role", "how", "from", "request"):
            table.add_column(column, justify="right" if column in ("seq", "times") else "left", overflow="fold")
        times = 0
        for look in found:
            who = [look.caller.get(name) or "" for name in ("subject", "role", "how")]
            said = (look.address or "", look.request_id or "")
            table.add_row(str(look.seq), look.at, look.what, str(look.times), *who, *said)
            times += look.times
    table.title = f"{times:,} looks at customer {customer}"
    report_console().print(table)
