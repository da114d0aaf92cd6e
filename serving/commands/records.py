"""Commands on the records: whether they are whole, what they say, forgetting a person or what is old."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import BadInput

from .data import ConfigOption, WorkspaceArgument
from .options import AsJson, ByOption, print_json
from .records_files import app as files_commands
from .records_options import RecordsArgument, SinceOption, YesOption, open_records, records_settings, time_of

if TYPE_CHECKING:
    from ..records import StoredEntry
    from ..records.database import Room

# What a command needs is imported when it runs: `--help` answers at once.

app = typer.Typer(
    name="log",
    no_args_is_help=True,
    help="What is on record: whether it is as it was written, what it says, forgetting a person or what is old.",
)
app.add_typer(files_commands)


@app.command("verify")
def verify_(
    workspace: RecordsArgument,
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

    from ..records import Anchor, verify
    from ..records.chain import START

    noted = None if anchor is None else Anchor.parse(anchor)
    since = START if since_anchor is None else Anchor.parse(since_anchor)
    with closing(open_records(workspace, config)) as records, progress_bar() as progress:
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
    workspace: RecordsArgument,
    customer: Annotated[str | None, typer.Option(metavar="CUSTOMER_ID", help="Only entries of this customer.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only entries of this kind: decision, feedback, event, deployment, erasure, ...")
    ] = None,
    since: SinceOption = None,
    before: Annotated[
        int | None, typer.Option(metavar="SEQ", min=1, max=(1 << 63) - 1, help="Only entries before this number.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many, the newest ones.")] = 20,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """List entries, the newest last; with --json, all that they say, a line each.

    Where there are older ones, how to list them is said on standard error.
    """
    from contextlib import closing

    import orjson

    from ..records.entries import KINDS

    if kind is not None and kind not in KINDS:
        raise BadInput(f"--kind: there is no {kind!r}; there are: {', '.join(KINDS)}")
    with closing(open_records(workspace, config)) as records:
        found = records.newest(last + 1, customer_id=customer, kind=kind, before=before, since=time_of(since))
    more, found = len(found) > last, found[-last:]
    if as_json:
        for entry in found:
            typer.echo(orjson.dumps(entry.to_dict()).decode())
    else:
        _print_entries(found)
    if more:
        chosen = {"--customer": customer, "--kind": kind, "--since": since, "--config": config, "--last": last}
        words = [word for name, value in chosen.items() if value is not None for word in (name, str(value))]
        words = ["nextproduct", "log", "show", str(workspace), *words, "--before", str(found[0].seq)]
        typer.echo(f"Older ones: {shlex.join(words + ['--json'] * as_json)}", err=True)


@app.command("erase")
def erase_(
    workspace: WorkspaceArgument,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="Whose entries are emptied.")],
    reason: Annotated[str, typer.Option(help="Is kept on record: it must not name the person.")],
    by: ByOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove all that is on record of a person, for good, and take them off the lists that are kept.

    That it was done is on record, too, and what they refused stays refused.
    """
    from contextlib import closing

    from ..campaigns import lists_without
    from ..records import erase

    if not yes:
        typer.confirm(f"Remove all that is on record of customer {customer_id}, for good?", abort=True)
    with closing(open_records(workspace, config, writable=True)) as records:
        lists = lists_without(workspace, customer_id)
        told = {each.path.name: each.name for each in lists}
        done = erase(records, customer_id, reason=reason, by=by or getpass.getuser(), lists=told)
        for each in lists:
            each.replace()
    typer.echo(f"{done.erased:,} entries emptied, {len(lists):,} lists shortened; entry {done.entry_id} says so.")
    if lists:
        typer.echo("Copies of these lists that were written elsewhere are for those who have them to shorten.")
    _say_room(done.room)


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
    by: ByOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove what decisions, feedback and events before a day say, for good; that it was done is on record, too."""
    from contextlib import closing

    from features.progress import progress_bar

    from ..records import forget_before

    keep_days = records_settings(workspace, config).keep_days
    if before is not None:
        day = before.date()
    elif keep_days:
        day = datetime.now(UTC).date() - timedelta(days=keep_days)
    else:
        raise BadInput("--before: give the first day that is kept, or set keep_days in the section serving.records")
    if not yes:
        typer.confirm(f"Remove what decisions, feedback and events before {day} say, for good?", abort=True)
    with closing(open_records(workspace, config, writable=True)) as records, progress_bar() as progress:
        done = forget_before(records, day, by=by or getpass.getuser(), progress=progress)
    typer.echo(f"{done.erased:,} entries emptied; {len(done.entry_ids):,} entries say so.")
    _say_room(done.room)


def _print_entries(found: Sequence[StoredEntry]) -> None:
    from rich.table import Table

    from features.progress import report_console

    table = Table(title=f"{len(found):,} entries")
    for column in ("seq", "at", "kind", "customer", "entry", "bytes"):
        table.add_column(column, justify="right" if column in ("seq", "bytes") else "left", overflow="fold")
    for entry in found:
        size = "erased" if entry.payload is None else f"{len(entry.payload):,}"
        table.add_row(str(entry.seq), entry.at, entry.kind, entry.customer_id or "", entry.entry_id, size)
    report_console().print(table)


def _say_room(room: Room) -> None:
    """What became of the room of what was emptied, where anything did."""
    if room.given_back > 0:
        typer.echo(f"{room.given_back / 1e6:,.1f} MB given back to the disk.")
    if room.free:
        typer.echo(
            f"{room.free / 1e6:,.1f} MB stay in the file for new entries: an earlier version made it, so that it gets "
            "smaller only while nobody else has it open and the disk has room for a copy. `log forget` tries again."
        )
