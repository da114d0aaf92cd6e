"""Commands on the records: whether they are whole, what they say, forgetting a person or what is old."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.cli import ConfigOption, WorkspaceArgument
from features.errors import BadInput

from .command_options import AsJson, print_json

if TYPE_CHECKING:
    from .records import Records, RecordsConfig, StoredEntry

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer(
    name="log",
    no_args_is_help=True,
    help="What is on record: whether it is as it was written, what it says, forgetting a person or what is old.",
)

_RecordsArgument = Annotated[
    Path, typer.Argument(metavar="WORKSPACE", help="The workspace, or a file that `nextproduct log backup` wrote.")
]
_ByOption = Annotated[str | None, typer.Option(help="Who asks for it. Default: the user of this machine.")]
_YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("verify")
def verify_(
    workspace: _RecordsArgument,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="SEQ:HEX",
            help="A head that was printed earlier and kept elsewhere: finds an end cut off and a chain written anew.",
        ),
    ] = None,
    since_anchor: Annotated[
        str | None,
        typer.Option(
            metavar="SEQ:HEX",
            help="Such a head, too: that it is there, and only what came after it. What was before is not looked at.",
        ),
    ] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Check that nothing on record was changed, removed, moved or put in.

    Ends with exit code 1 when something was.
    """
    from contextlib import closing

    from features.progress import progress_bar

    from .records import Anchor, verify
    from .records.chain import START

    noted = None if anchor is None else Anchor.parse(anchor)
    since = START if since_anchor is None else Anchor.parse(since_anchor)
    with closing(_open(workspace, config)) as records, progress_bar() as progress:
        found = verify(records, anchor=noted, since=since, progress=progress)
    if as_json:
        said = {
            "entries": found.entries, "head": str(found.head), "sound": found.is_sound,
            "problems": found.problems, "problem_count": found.problem_count,
        }  # fmt: skip
        print_json(said | ({"since": str(found.since)} if found.since.seq else {}))
    else:
        for problem in found.problems:
            typer.secho(f"Problem: {problem}.", fg=typer.colors.RED)
        if found.problem_count > len(found.problems):
            typer.secho(f"and {found.problem_count - len(found.problems):,} more problems.", fg=typer.colors.RED)
        after = f" after entry {found.since.seq:,}" if found.since.seq else ""
        typer.echo(f"{found.entries:,} entries{after}, {'whole' if found.is_sound else 'NOT as they were written'}.")
        typer.echo(f"Head: {found.head}")
        if found.is_sound:
            typer.echo("Keep this line elsewhere: --anchor with it finds out later whether the end was cut off.")
    if not found.is_sound:
        raise typer.Exit(1)


@app.command()
def show(
    workspace: _RecordsArgument,
    customer: Annotated[str | None, typer.Option(metavar="CUSTOMER_ID", help="Only entries of this customer.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only entries of this kind: decision, feedback, event, deployment, erasure, ...")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="How many, the newest ones.")] = 20,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """List entries, the newest last; with --json, all that they say, a line each."""
    from contextlib import closing

    import orjson

    from .records.entries import KINDS

    if kind is not None and kind not in KINDS:
        raise BadInput(f"--kind: there is no {kind!r}; there are: {', '.join(KINDS)}")
    with closing(_open(workspace, config)) as records:
        found = records.newest(last, customer_id=customer, kind=kind)
    if as_json:
        for entry in found:
            typer.echo(orjson.dumps(_said(entry)).decode())
        return
    from rich.table import Table

    from features.progress import report_console

    table = Table(title=f"{len(found):,} entries")
    for column in ("seq", "at", "kind", "customer", "entry", "bytes"):
        table.add_column(column, justify="right" if column in ("seq", "bytes") else "left", overflow="fold")
    for entry in found:
        size = "erased" if entry.payload is None else f"{len(entry.payload):,}"
        table.add_row(str(entry.seq), entry.at, entry.kind, entry.customer_id or "", entry.entry_id, size)
    report_console().print(table)


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

    from training.jobs import check_path

    from .records import back_up

    check_path(out)
    with closing(_open(workspace, config)) as records:
        done = back_up(records, out)
    typer.echo(f"{out} holds all entries up to {done.head.seq:,}.\nHead: {done.head}")
    if done.waiting:
        typer.secho(
            f"Not in it: the decisions in {done.waiting:,} files of records-queue/, which are not on record yet.",
            fg=typer.colors.YELLOW,
        )


@app.command("erase")
def erase_(
    workspace: WorkspaceArgument,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="Whose entries are emptied.")],
    reason: Annotated[str, typer.Option(help="Is kept on record: it must not name the person.")],
    by: _ByOption = None,
    yes: _YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove all that is on record of a person, for good, and take them off the lists that are kept.

    That it was done is on record, too, and what they refused stays refused.
    """
    from contextlib import closing

    from .campaigns import lists_without
    from .records import erase

    if not yes:
        typer.confirm(f"Remove all that is on record of customer {customer_id}, for good?", abort=True)
    with closing(_open(workspace, config, writable=True)) as records:
        lists = lists_without(workspace, customer_id)
        told = {each.path.name: each.name for each in lists}
        done = erase(records, customer_id, reason=reason, by=by or getpass.getuser(), lists=told)
        for each in lists:
            each.replace()
    typer.echo(f"{done.erased:,} entries emptied, {len(lists):,} lists shortened; entry {done.entry_id} says so.")
    if lists:
        typer.echo("Copies of these lists that were written elsewhere are for those who have them to shorten.")


@app.command()
def forget(
    workspace: WorkspaceArgument,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="First day (UTC) that is kept. Default: as many days ago as `keep_days` of the configuration says.",
        ),
    ] = None,
    by: _ByOption = None,
    yes: _YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove what decisions, feedback and events before a day say, for good; that it was done is on record, too."""
    from contextlib import closing

    from features.progress import progress_bar

    from .records import forget_before

    keep_days = _settings(workspace, config).keep_days
    if before is not None:
        day = before.date()
    elif keep_days:
        day = datetime.now(UTC).date() - timedelta(days=keep_days)
    else:
        raise BadInput("--before: give the first day that is kept, or set keep_days in the section serving.records")
    if not yes:
        typer.confirm(f"Remove what decisions, feedback and events before {day} say, for good?", abort=True)
    with closing(_open(workspace, config, writable=True)) as records, progress_bar() as progress:
        done = forget_before(records, day, by=by or getpass.getuser(), progress=progress)
    typer.echo(f"{done.erased:,} entries emptied; {len(done.entry_ids):,} entries say so.")


def _settings(workspace: Path, config: Path | None) -> RecordsConfig:
    from features.config import config_path, read_section

    from .config import ServingConfig

    return read_section(config_path(config, workspace), "serving", ServingConfig).records


def _open(workspace: Path, config: Path | None, *, writable: bool = False) -> Records:
    """The records of a workspace, or in a file; a command makes none, and answers nobody whose decision would wait."""
    from .records import Records

    if workspace.is_file():
        return Records.open_file(workspace)
    settings = _settings(workspace, config).model_copy(update={"on_failure": "refuse"})
    records = Records.open(workspace, settings, writable=False)
    if not writable:
        return records
    records.close()
    return Records.open(workspace, settings)


def _said(entry: StoredEntry) -> dict[str, Any]:
    import orjson

    said: Any = None
    if entry.payload is not None:
        try:
            said = orjson.loads(entry.payload)
        except orjson.JSONDecodeError:  # bytes of any kind may be on record
            said = entry.payload.decode("utf-8", "replace")
    return {
        "seq": entry.seq, "at": entry.at, "kind": entry.kind, "entry_id": entry.entry_id,
        "customer_id": entry.customer_id, "erased": entry.payload is None, "payload": said,
    }  # fmt: skip
