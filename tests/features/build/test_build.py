"""A build is put into use whole or not at all."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import features.files
from features import block_of, feature_set_of
from features.build import BuildConfig, build_states, building
from features.build.packing import Packer
from features.checks import CheckReport
from features.errors import BadInput, NotReady
from features.states import CURRENT, FORMAT, MANIFEST, STATES_FOLDER, CustomerStates, current_states, switch_to
from tests.features.banks import NEWEST_DAY, RandomBank, Tables, write_parquet
from tests.features.test_calendar import MONTHS

JUNE = MONTHS.period_of(NEWEST_DAY)


class Crash(BaseException):
    """What no code expects."""


def tables_of(folder: Path, seed: int) -> Path:
    return write_parquet(folder, RandomBank(seed, MONTHS, n_customers=4).tables())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tables_of(tmp_path_factory.mktemp("first"), 1)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tables_of(tmp_path_factory.mktemp("second"), 2)


@pytest.fixture(scope="module")
def following(second: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of the build of the second bank."""
    return build(second, tmp_path_factory.mktemp("elsewhere")).manifest.build_id


@pytest.fixture(scope="module")
def built(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("built")
    build(first, workspace)
    return workspace


@pytest.fixture
def without_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks take half of a small build's time; here they find at once that all is well."""
    report = CheckReport((), NEWEST_DAY)
    monkeypatch.setattr(building, "run_checks", lambda *_, **__: report)


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Path:
    """A workspace in which the first bank is built."""
    return shutil.copytree(built, tmp_path / "workspace")


def build(tables: Path, workspace: Path, config: BuildConfig | None = None) -> CustomerStates:
    return build_states(tables, workspace, config, as_of=NEWEST_DAY).states


def in_use(workspace: Path) -> str:
    """The id of the build in use, which can be read to its last feature."""
    states = current_states(workspace)
    block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
    assert block.features.shape == (block.n_customers, len(feature_set_of(states).names))
    return states.manifest.build_id


def contents(workspace: Path) -> set[str]:
    return {path.name for path in (workspace / STATES_FOLDER).iterdir()}


def clean(*build_ids: str) -> set[str]:
    return {CURRENT, "LOCK", *build_ids}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --------------------------------------------------------------------------------------------------------- interruption

STAGES = [
    "_pack_customer_ids",
    "_pack_profile",
    "_pack_history",
    "_pack_panels",
    "_pack_partners",
    "_pack_events",
    "_pack_occasions",
]


def crash_after(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    original: Callable = getattr(owner, name)

    def crashing(*args: object, **kwargs: object) -> None:
        original(*args, **kwargs)
        raise Crash

    monkeypatch.setattr(owner, name, crashing)


@pytest.mark.usefixtures("without_checks")
def test_a_crash_at_any_stage_leaves_the_previous_build_in_use_and_the_next_build_clears_up(
    workspace: Path, second: Path, following: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous = in_use(workspace)
    for owner, name in (*((Packer, stage) for stage in STAGES), (Packer, "pack"), (features.files, "sync")):
        with monkeypatch.context() as patch:
            crash_after(patch, owner, name)
            with pytest.raises(Crash):
                build(second, workspace)
        assert in_use(workspace) == previous
        assert contents(workspace) == clean(previous, f"{following}.part"), "one's leftovers, the others' are gone"
    assert build(second, workspace).manifest.build_id == following == in_use(workspace)
    assert contents(workspace) == clean(previous, following)


@pytest.mark.usefixtures("without_checks")
@pytest.mark.parametrize("crash", ["before the switch", "within the switch", "after the switch"])
def test_a_crash_around_the_switch_leaves_one_build_or_the_other_in_use(
    workspace: Path, second: Path, following: str, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    previous = in_use(workspace)
    fsync = os.fsync

    def crashing_fsync(descriptor: int) -> None:
        if f".{CURRENT}." in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise Crash
        fsync(descriptor)

    replace = Path.replace

    def crashing_replace(path: Path, target: Path) -> None:
        replace(path, target)
        if target.name == following:
            raise Crash

    with monkeypatch.context() as patch:
        if crash == "before the switch":
            patch.setattr(Path, "replace", crashing_replace)
        elif crash == "within the switch":
            patch.setattr(os, "fsync", crashing_fsync)
            patch.setattr(Path, "unlink", lambda *_, **__: None)  # who is dead clears nothing up
        else:
            crash_after(patch, building, "switch_to")
        with pytest.raises(Crash):
            build(second, workspace)
    left = {name for name in contents(workspace) if name.startswith(f".{CURRENT}.")}
    assert len(left) == (crash == "within the switch")
    assert contents(workspace) - left == clean(previous, following)
    assert in_use(workspace) == (following if crash == "after the switch" else previous)
    monkeypatch.setattr(Packer, "pack", lambda *_: pytest.fail("the build was complete"))
    assert build(second, workspace).manifest.build_id == following == in_use(workspace)
    assert contents(workspace) == clean(previous, following)


def test_a_first_build_that_crashes_leaves_nothing_to_open(
    tmp_path: Path, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash_after(patch, Packer, "pack")
        with pytest.raises(Crash):
            build(first, tmp_path)
    with pytest.raises(NotReady, match=r"no customer states in .*: run `nextproduct build"):
        current_states(tmp_path)
    built = build(first, tmp_path).manifest.build_id
    assert in_use(tmp_path) == built
    assert contents(tmp_path) == clean(built)


@pytest.mark.usefixtures("without_checks")
def test_a_half_removed_build_never_passes_for_a_whole_one(
    workspace: Path, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # removal began with any file: a build without arrays, its manifest still there, would have been used again
    config, old = BuildConfig(keep_builds=1), in_use(workspace)
    rmtree = shutil.rmtree

    def crashing(folder: Path, **options: Any) -> None:
        if folder.name.startswith(old):
            (folder / "holding_share.npy").unlink()
            raise Crash
        rmtree(folder, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", crashing)
        with pytest.raises(Crash):
            build(second, workspace, config)
    assert build(first, workspace, config).manifest.build_id == old
    assert in_use(workspace) == old


BUILD_IN_ANOTHER_PROCESS = """
import sys
from datetime import date
from pathlib import Path
from features.build.building import build_states
print("ready", flush=True)
build_states(Path(sys.argv[1]), Path(sys.argv[2]), as_of=date.fromisoformat(sys.argv[3]))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_build_leaves_the_previous_one_in_use(
    workspace: Path, second: Path, following: str, seed: int
) -> None:
    previous, folder = in_use(workspace), workspace / STATES_FOLDER
    command = [sys.executable, "-c", BUILD_IN_ANOTHER_PROCESS, str(second), str(workspace), NEWEST_DAY.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while process.poll() is None and not any(folder.glob("*.part")):
            time.sleep(0.001)
        time.sleep(random.Random(seed).uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
    # killed while it packed or, where the machine was quick, after it had ended
    assert process.returncode in (-signal.SIGKILL, 0)
    if not (folder / following).exists():
        assert contents(workspace) == clean(previous, f"{following}.part")
        assert in_use(workspace) == previous
    else:
        assert in_use(workspace) in (previous, following)
    assert build(second, workspace).manifest.build_id == following == in_use(workspace)
    assert contents(workspace) == clean(previous, following)


def test_two_builds_do_not_run_in_one_workspace(workspace: Path, first: Path) -> None:
    # the one that ended first removed what the other was writing
    previous = in_use(workspace)
    with (workspace / STATES_FOLDER / "LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NotReady, match="another build is running"):
            build(first, workspace)
    assert in_use(workspace) == previous
    assert build(first, workspace).manifest.build_id == previous


# --------------------------------------------------------------------------------------------------------------- checks


def broken(tables: Tables) -> Tables:
    tables["accounts"][0] |= {"opened_on": date(2024, 2, 2), "closed_on": date(2024, 1, 1)}
    return tables


def test_tables_that_fail_a_check_leave_the_previous_build_in_use(workspace: Path, tmp_path: Path) -> None:
    previous = in_use(workspace)
    assert json.loads((workspace / "checks.json").read_text())["failed"] is False
    bad = write_parquet(tmp_path / "bad", broken(RandomBank(3, MONTHS).tables()))
    with pytest.raises(BadInput, match="break the input contract; nothing was built"):
        build(bad, workspace)
    report = json.loads((workspace / "checks.json").read_text())
    assert report["failed"] is True
    assert [check["name"] for check in report["checks"] if check["status"] == "FAIL"] == ["closed before opened"]
    assert in_use(workspace) == previous
    assert contents(workspace) == clean(previous)


def test_an_account_of_the_far_future_stops_a_build_and_does_not_become_its_date(tmp_path: Path) -> None:
    tables = RandomBank(3, MONTHS).tables()
    tables["accounts"][0] |= {"opened_on": date(2099, 12, 31), "closed_on": None, "recorded_on": None}
    write_parquet(tmp_path / "tables", tables)
    for as_of in (None, NEWEST_DAY):
        with pytest.raises(BadInput, match="break the input contract"):
            build_states(tmp_path / "tables", tmp_path / "workspace", as_of=as_of)
        report = json.loads((tmp_path / "workspace" / "checks.json").read_text())
        failed = [check["name"] for check in report["checks"] if check["status"] == "FAIL"]
        assert failed == ["opened in the future"]


def test_a_closing_after_the_newest_opening_is_no_fault(tmp_path: Path, first: Path) -> None:
    # the checks took the end of the newest opening's month for today
    tables = RandomBank(1, MONTHS, n_customers=4).tables()
    tables["accounts"][0] |= {"opened_on": date(2024, 1, 1), "closed_on": date(2024, 7, 2), "recorded_on": None}
    write_parquet(tmp_path / "tables", tables)
    assert build(tmp_path / "tables", tmp_path / "workspace").manifest.as_of == NEWEST_DAY.isoformat()


def test_a_build_may_look_from_an_earlier_day_than_the_newest_fact(tmp_path: Path, first: Path) -> None:
    states = build_states(first, tmp_path, as_of=date(2024, 3, 5)).states
    assert states.manifest.as_of == "2024-03-31"
    assert states.manifest.build_id.startswith("2024-03-31-")
    assert states.manifest.known_to == "2024-03-31"


def test_without_as_of_the_newest_fact_is_the_date(tmp_path: Path) -> None:
    tables = RandomBank(1, MONTHS, n_customers=4).tables()
    known = {name: tables[name] for name in ("customers", "products")}
    account = {"account_id": "a", "customer_id": "c00", "product_id": "card", "opened_on": date(2024, 7, 3)}
    write_parquet(tmp_path / "tables", known | {"accounts": [account | {"closed_on": None, "recorded_on": None}]})
    outcome = build_states(tmp_path / "tables", tmp_path / "workspace")
    assert outcome.newest_fact == date(2024, 7, 3)
    assert outcome.states.manifest.as_of == "2024-07-31"
    assert outcome.states.manifest.known_to == "2024-07-03"


def test_tables_without_any_date_tell_of_everything_up_to_the_day_of_the_states(tmp_path: Path) -> None:
    tables = RandomBank(1, MONTHS, n_customers=4).tables()
    customers = [{"customer_id": row["customer_id"], "kind": row["kind"]} for row in tables["customers"]]
    account = {"account_id": "a", "customer_id": customers[0]["customer_id"], "product_id": "card", "opened_on": None}
    write_parquet(
        tmp_path / "tables",
        {
            "customers": list({row["customer_id"]: row for row in customers}.values()),
            "products": tables["products"],
            "accounts": [account | {"closed_on": None, "recorded_on": None}],
        },
    )
    manifest = build_states(tmp_path / "tables", tmp_path / "workspace").states.manifest
    assert (manifest.dated, manifest.known_to) == (False, manifest.as_of)


def test_a_day_on_which_no_customer_was_known_is_refused(tmp_path: Path) -> None:
    tables = RandomBank(1, MONTHS, n_customers=4).tables()
    for row in tables["customers"]:
        row["valid_from"] = row["valid_from"] or date(2020, 1, 1)
    write_parquet(tmp_path / "tables", tables)
    with pytest.raises(BadInput, match="no customer was known on 2019-12-31"):
        build_states(tmp_path / "tables", tmp_path / "workspace", as_of=date(2019, 12, 31))


# -------------------------------------------------------------------------------------------------------- repeatability


def test_the_same_tables_give_the_same_files_byte_for_byte(tmp_path: Path, synthetic_tables: Path) -> None:
    one, other = (build_states(synthetic_tables, tmp_path / name).states for name in ("one", "other"))
    assert one.manifest.build_id == other.manifest.build_id
    folders = [tmp_path / name / STATES_FOLDER / one.manifest.build_id for name in ("one", "other")]
    found, expected = files(folders[0]), files(folders[1])
    assert len(found) > 50
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


@pytest.mark.parametrize("amounts", [(3.0, 1e16, -1e16), (1e16, 3.0, -1e16), (1e16, -1e16, 3.0)])
def test_sums_do_not_depend_on_the_order_of_rows(tmp_path: Path, amounts: tuple[float, ...]) -> None:
    # a sum of floating-point numbers does: 3 + 1e16 - 1e16 is 4 there; and several threads add in any order
    tables = RandomBank(1, MONTHS, n_customers=4).tables()
    period = {"period": NEWEST_DAY, "count": 1}
    tables["activity"] = [
        period | {"customer_id": "c00", "channel": f"channel {number}", "inflow": amount, "outflow": None}
        for number, amount in enumerate(amounts)
    ]
    tables["payments"] = [
        period | {"payer_id": "c00", "payee_id": f"payee {number}", "amount": amount}
        for number, amount in enumerate(amounts)
    ]
    write_parquet(tmp_path / "tables", tables)
    states = build(tmp_path / "tables", tmp_path / "workspace")
    block = block_of(states, np.array([states.position_of("c00")]), JUNE)
    features = dict(zip(feature_set_of(states).names, block.features[0].tolist(), strict=True))
    assert (features["flow:inflow"], features["payments:paid"]) == (3, 3)


def test_a_finished_build_is_used_again(workspace: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Packer, "pack", lambda *_: pytest.fail("packed again"))
    assert build(first, workspace).manifest.build_id == in_use(workspace)


@pytest.mark.usefixtures("without_checks")
def test_the_id_names_tables_date_and_settings(tmp_path: Path, first: Path, second: Path) -> None:
    ids = {
        build(first, tmp_path).manifest.build_id,
        build(second, tmp_path).manifest.build_id,
        build(first, tmp_path, BuildConfig(history_periods=5)).manifest.build_id,
        build_states(first, tmp_path, as_of=date(2024, 5, 31)).states.manifest.build_id,
    }
    assert len(ids) == 4
    # settings of the engine and of the workspace are not in the states
    same = BuildConfig(threads=1, memory_limit="1GB", keep_builds=9)
    assert build(first, tmp_path, same).manifest.build_id in ids


# -------------------------------------------------------------------------------------------------------------- keeping


@pytest.mark.usefixtures("without_checks")
def test_old_builds_are_removed_but_never_the_one_in_use(tmp_path: Path, first: Path) -> None:
    builds = []
    for number, periods in enumerate((2, 3, 4, 5)):
        states = build(first, tmp_path, BuildConfig(history_periods=periods, keep_builds=2))
        builds.append(states.manifest.build_id)
        os.utime(tmp_path / STATES_FOLDER / builds[-1], (number, number))
        assert contents(tmp_path) == clean(*builds[-2:])
    # the older of the two left is put into use again: both stay, though only the newest is to be kept
    build(first, tmp_path, BuildConfig(history_periods=4, keep_builds=1))
    assert in_use(tmp_path) == builds[2]
    assert contents(tmp_path) == clean(*builds[2:])


@pytest.mark.parametrize("other", [FORMAT - 2, FORMAT + 1])
def test_states_of_another_format_are_refused_by_name(workspace: Path, other: int) -> None:
    folder = workspace / STATES_FOLDER / in_use(workspace)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format": other, "new": 1}), encoding="utf-8")
    with pytest.raises(
        NotReady, match=f"have format {other}, this version reads {FORMAT - 1} and {FORMAT}: run `nextproduct build`"
    ):
        current_states(workspace)


def test_states_of_the_format_before_lack_only_the_days_on_which_holdings_began(first: Path, workspace: Path) -> None:
    states = current_states(workspace)
    folder = workspace / STATES_FOLDER / states.manifest.build_id
    everyone = np.arange(states.n_customers)
    pairs = list(product(everyone.tolist(), range(len(states.catalogue))))
    assert any(states.history.day_begun(*pair) is not None for pair in pairs)
    (folder / "history" / "began.npy").unlink()
    with pytest.raises(FileNotFoundError):  # of this format it is broken
        current_states(workspace)
    old = folder.with_name("of-format-before")
    folder.rename(old)
    manifest = json.loads((old / MANIFEST).read_text(encoding="utf-8"))
    content = manifest | {"format": FORMAT - 1, "build_id": old.name}
    (old / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    switch_to(workspace, old.name)
    assert in_use(workspace) == old.name
    opened = current_states(workspace)
    assert [opened.history.day_begun(*pair) for pair in pairs] == [None] * len(pairs)
    newest = states.as_of_period
    np.testing.assert_array_equal(opened.history.words_at(everyone, newest), states.history.words_at(everyone, newest))
    # the same tables, built again, have the days
    again = build(first, workspace)
    assert any(again.history.day_begun(*pair) is not None for pair in pairs)


def test_a_folder_without_a_manifest_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="run `nextproduct build TABLES WORKSPACE` first"):
        CustomerStates.open(tmp_path)
