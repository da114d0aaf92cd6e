"""Builds customer states from bank tables: checks them, packs them aside, puts them into use in one step."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress

from ..calendar import HISTORY_BITS, Calendar, Frequency
from ..checks import CheckReport, inbox_checks, run_checks
from ..errors import BadInput, NotReady
from ..files import AnyPath, put_in_place, replace_file, write_text
from ..sources import BankTables
from ..sources.inbox import INBOX, take_in
from ..sql import queries
from ..states import CURRENT, FORMAT, KEPT, MANIFEST, STATES_FOLDER, CustomerStates, switch_to
from .packing import Packer

_UNDATED = date(1970, 1, 31)  # where nothing has a date, any fixed one will do
_STEPS = 9
_PART = ".part"  # ends the name of a folder that is no build yet, or no longer
_LOCK = "LOCK"
_CLOCK_TOLERANCE = timedelta(days=366)


class BuildConfig(BaseModel):
    """Settings of ``build``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Frequency = Frequency.MONTH
    """How long a period is."""
    history_periods: int = Field(default=36, ge=2, le=HISTORY_BITS)
    """Periods of balances, activity and segment figures kept. Holdings always keep 64."""
    memory_limit: str = "4GB"
    """What the SQL engine may use before it writes to disk."""
    threads: int = Field(default=2, ge=1)
    """Threads of the SQL engine."""
    keep_builds: int = Field(default=3, ge=1)
    """Builds kept in the workspace; older ones are removed after a switch."""


@dataclass(frozen=True)
class BuildOutcome:
    """What ``build`` did.

    Attributes
    ----------
    states : the build, in use
    checks : what the checks found
    newest_fact : the last day on which anything happened, if anything has a date
    """

    states: CustomerStates
    checks: CheckReport
    newest_fact: date | None


def build_states(
    tables_path: AnyPath,
    workspace: AnyPath,
    config: BuildConfig | None = None,
    *,
    mapping: AnyPath | None = None,
    as_of: date | None = None,
    inbox: AnyPath | None = None,
    progress: Progress | None = None,
) -> BuildOutcome:
    """Build states from the tables at `tables_path` and put them into use in `workspace`.

    `as_of` is the last day to look at, by default the end of the period of the newest fact; it is moved to the end
    of its period. A build that is interrupted, or that the checks refuse, leaves the previous one in use.

    What lies in `inbox`, by default ``WORKSPACE/inbox``, is taken in beside the bank's tables. It moves no date: how
    far the bank's data go, its own tables say. What was recorded after `as_of` waits for a later build.

    Raises
    ------
    BadInput : when a check fails; the outcome is in ``WORKSPACE/checks.json``
    NotReady : while another build runs in the workspace
    """
    tables_path, workspace = Path(tables_path), Path(workspace)
    mapping, inbox = Path(mapping) if mapping else None, Path(inbox) if inbox else workspace / INBOX
    config = config or BuildConfig()
    calendar = Calendar(config.period)
    task = progress.add_task("Building customer states", total=_STEPS) if progress else None

    def step() -> None:
        if progress and task is not None:
            progress.advance(task)

    with (
        BankTables.open(tables_path, mapping, memory_limit=config.memory_limit, threads=config.threads) as tables,
        _only_build_in(workspace),
    ):
        connection = tables.connection
        (newest,) = connection.execute(queries.NEWEST_FACT).fetchone() or (None,)
        as_of_period = calendar.period_of(as_of or newest or _UNDATED)
        last_day = calendar.end_of(as_of_period)
        report = run_checks(tables, calendar, _today(last_day), progress)
        told = () if report.failed else take_in(tables, inbox, last_day)
        report = report.with_results(inbox_checks(told))
        write_text(workspace / "checks.json", report.to_json())
        if report.failed:
            raise BadInput(
                f"{tables_path}: the tables break the input contract; nothing was built. "
                f"`nextproduct check {tables_path}` lists what to mend (also in {workspace / 'checks.json'})"
            )
        step()
        fingerprints = tables.fingerprints() | {f"{INBOX}/{found.table}": found.digest for found in told}
        build_id = _build_id(last_day, fingerprints, config)
        folder = workspace / STATES_FOLDER / build_id
        _remove_leftovers(workspace)
        if not (folder / MANIFEST).is_file():
            aside = folder.with_name(build_id + _PART)
            aside.mkdir()
            packer = Packer(tables, calendar, as_of_period, config.history_periods, aside, step)
            packer.pack(build_id, fingerprints, mapping, min(newest or last_day, last_day).isoformat())
            (aside / "checks.json").write_text(report.to_json(), encoding="utf-8")
            put_in_place(aside, folder)
        _note_source(folder, tables.source, mapping)
        switch_to(workspace, build_id)
        _remove_old_builds(workspace, config.keep_builds)
    if progress and task is not None:
        progress.update(task, completed=_STEPS)
    return BuildOutcome(CustomerStates.open(folder), report, newest)


def _today(last_day: date) -> date:
    """The day after which the checks call a fact one of the future, for a build that looks up to `last_day`.

    A build may look from an earlier day than the newest fact, and a clock may be somewhat behind; but a fact a year
    ahead of it is a mistake and must not become the date of the states.
    """
    clock = date.today()
    return max(last_day, clock) if last_day <= clock + _CLOCK_TOLERANCE else clock


@contextmanager
def _only_build_in(workspace: Path) -> Iterator[None]:
    """Keep other builds out of the workspace; the lock goes with the process that holds it, however that ends."""
    folder = workspace / STATES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(f"another build is running in {workspace}: wait until it has ended") from None
        yield


def _build_id(last_day: date, fingerprints: dict[str, str], config: BuildConfig) -> str:
    settings = config.model_dump(mode="json", include={"period", "history_periods"})
    content = json.dumps([FORMAT, fingerprints, settings], sort_keys=True)
    return f"{last_day.isoformat()}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _note_source(folder: Path, source: Path, mapping: Path | None) -> None:
    """Let an earlier build of the same tables say where they lie now: `retrain` reads them there."""
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    now = {"tables": str(source.resolve()), "mapping": str(mapping.resolve()) if mapping else None}
    if content | now != content:
        replace_file(folder / MANIFEST, json.dumps(content | now, ensure_ascii=False, indent=1).encode())


def _remove_old_builds(workspace: Path, keep: int) -> None:
    """Remove all but the newest builds.

    The build in use, and those that whoever serves needs, are never removed. A process that still maps a removed build
    keeps its pages until it lets go.
    """
    folder = workspace / STATES_FOLDER
    needed = {(folder / CURRENT).read_text(encoding="utf-8").strip()}
    if (folder / KEPT).is_file():
        needed.update((folder / KEPT).read_text(encoding="utf-8").split())
    complete = sorted(
        (path for path in folder.iterdir() if (path / MANIFEST).is_file()), key=lambda path: path.stat().st_mtime
    )
    for path in complete[:-keep]:
        if path.name not in needed:
            path.replace(path.with_name(path.name + _PART))  # half removed, it must not pass for a build
    _remove_leftovers(workspace)


def _remove_leftovers(workspace: Path) -> None:
    """Remove what interrupted builds, removals and switches left behind."""
    folder = workspace / STATES_FOLDER
    for path in folder.glob(f"*{_PART}"):
        shutil.rmtree(path)
    for path in folder.glob(f".{CURRENT}.*"):
        path.unlink()
