"""Banks that tests of training and serving share: a synthetic one made once a session, and tiny ones made by hand."""

import csv
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import duckdb

from features.build import build_states
from features.sources.synthetic import SyntheticBank, generate
from serving.decisions.policy.loading import POLICY_FILE, demonstration_policy_path
from training import TrainingConfig, train

LIGHT = """\
[training]
train_periods = 6

[training.als]
factors = 4
iterations = 3

[training.propensity]
any_rounds = 12
choice_rounds = 6
min_rows = 20

[evaluation]
resamples = 40
"""
"""Settings under which a bank of some hundred customers trains in about a second."""

Row = dict[str, str]


_made: dict[Path, dict[Path, int]] = {}
"""What lay in the folders that `once` made when they were made: paths, and sizes in bytes."""


def once(base: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name`, made on first use; nobody may change it."""
    folder = base / "once" / name
    if not folder.is_dir():
        aside = folder.with_name(f"{name}.part")
        make(aside)
        aside.rename(folder)
        _made[folder] = _listing(folder)
    return folder


def changed_since_made() -> list[Path]:
    """The files of folders that `once` made which have come, gone or changed their size since."""
    return sorted({path for folder, made in _made.items() for path, _ in made.items() ^ _listing(folder).items()})


def _listing(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def synthetic_tables(base: Path) -> Path:
    """The tables of a synthetic bank: 600 retail and 80 corporate customers, 16 months."""
    bank = SyntheticBank(retail=600, corporate=80, periods=16, truth_periods=1)
    return once(base, "bank", lambda folder: generate(bank, folder)) / "tables"


def trained_workspace(base: Path) -> Path:
    """A workspace with states and a champion of the synthetic bank, and the demonstration's policy."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "nextproduct.toml").write_text(LIGHT, encoding="utf-8")
        shutil.copy(demonstration_policy_path(), folder / POLICY_FILE)
        build_states(synthetic_tables(base), folder)
        train(folder, light())

    return once(base, "workspace", make)


def own_workspace(base: Path, folder: Path) -> tuple[Path, Path]:
    """A copy of the trained workspace and of its tables, to be changed: the workspace and the tables."""
    tables, workspace = folder / "tables", folder / "workspace"
    shutil.copytree(synthetic_tables(base), tables)
    shutil.copytree(trained_workspace(base), workspace)
    for manifest in workspace.glob("states/*/manifest.json"):
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(
            text.replace(str(synthetic_tables(base).resolve()), str(tables.resolve())), encoding="utf-8"
        )
    return workspace, tables


def light(**settings: object) -> TrainingConfig:
    """The light settings, some of them changed."""
    section = tomllib.loads(LIGHT)["training"]
    return TrainingConfig.model_validate(section | settings)


def write_bank(folder: Path, tables: dict[str, list[Row]]) -> Path:
    """Each table as ``<table>.csv``; the columns are all that any of its rows has."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
    return folder


def rewrite(tables: Path, name: str, sql: str) -> None:
    """Replace a Parquet table by the answer to `sql`, in which ``t`` is what it was."""
    folder, file = tables / name, tables / f"{name}.parquet"
    source = f"{folder}/*.parquet" if folder.is_dir() else str(file)
    aside = tables / f".{name}.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet('{source}')")
        connection.execute(f"COPY ({sql}) TO '{aside}' (FORMAT parquet)")
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(file)
