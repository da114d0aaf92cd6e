"""Runs, metrics and artefacts in MLflow: SQLite in the workspace, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import NotFound, NotReady
from features.files import AnyPath, put_in_place

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "nextproduct"
MODEL = "nextproduct"
BUNDLE = "bundle"
CHAMPION, CHALLENGER = "champion", "challenger"

_DATABASE = "mlflow.db"
_ARTEFACTS = "mlartifacts"
_BATCH = 500  # metrics a call takes
_PATIENCE = 20.0  # seconds for another's writing to end: MLflow's own

_BY_ALIAS = """
SELECT v.version, v.run_id FROM registered_model_aliases a
JOIN model_versions v ON v.name = a.name AND v.version = a.version
WHERE a.name = ? AND a.alias = ? AND v.current_stage <> 'Deleted_Internal'
"""
_ALL = """
SELECT version, run_id FROM model_versions WHERE name = ? AND current_stage <> 'Deleted_Internal' ORDER BY version
"""


@dataclass(frozen=True)
class Version:
    """A registered bundle.

    Attributes
    ----------
    number : its version in the registry
    run_id : the MLflow run that made it
    folder : where its files are on this machine
    """

    number: str
    run_id: str
    folder: Path


class Tracking:
    """The tracking store and model registry of a workspace."""

    def __init__(self, workspace: AnyPath, uri: str | None = None) -> None:
        self._workspace = Path(workspace).resolve()
        self._uri = uri

    @cached_property
    def client(self) -> MlflowClient:
        """Imported on first use: it takes over a second."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read on import; nothing may leave the bank
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces every table it creates
        database = self._workspace / _DATABASE
        if self._uri is None and not database.is_file():
            # MLflow takes a second and a hundred steps to make its tables; nobody may meet them, or be killed, half way
            aside = database.with_name(f".{_DATABASE}.{os.getpid()}")
            aside.unlink(missing_ok=True)
            MlflowClient(tracking_uri=f"sqlite:///{aside}", registry_uri=f"sqlite:///{aside}")
            put_in_place(aside, database)
        uri = self._uri or f"sqlite:///{database}"
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def start_run(self, name: str, params: dict[str, Any], tags: dict[str, str]) -> str:
        """Open a run and return its id."""
        from mlflow.entities import Param, RunTag

        run = self.client.create_run(self._experiment_id(), run_name=name)
        self.client.log_batch(
            run.info.run_id,
            params=[Param(key, str(value)[:6000]) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        return run.info.run_id

    def log_metrics(self, run_id: str, metrics: dict[str, float]) -> None:
        """Log all at once; ``map@7`` becomes ``map_at_7``, as MLflow allows no @."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(name.replace("@", "_at_"), value, now, 0) for name, value in metrics.items()]
        for start in range(0, len(entries), _BATCH):
            self.client.log_batch(run_id, metrics=entries[start : start + _BATCH])

    def log_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Keep a folder's files with the run."""
        if self._uri is None:
            shutil.copytree(folder, self._artefacts(run_id) / name)
        else:
            self.client.log_artifacts(run_id, str(folder), name)

    def log_text(self, run_id: str, text: str, name: str) -> None:
        """Keep a text with the run."""
        if self._uri is None:
            self._artefacts(run_id).mkdir(parents=True, exist_ok=True)
            (self._artefacts(run_id) / name).write_text(text, encoding="utf-8")
        else:
            self.client.log_text(run_id, text, name)

    def finish_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Close a run."""
        self.client.set_terminated(run_id, status)

    def register(self, run_id: str, alias: str) -> Version:
        """Make the run's bundle a version of the model and point `alias` to it."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(MODEL)
        except MlflowException:
            self.client.create_registered_model(MODEL)
        entry = self.client.create_model_version(MODEL, f"runs:/{run_id}/{BUNDLE}", run_id)
        self.point(alias, str(entry.version))
        return self.version_of(str(entry.version), run_id)

    def point(self, alias: str, number: str) -> None:
        """Move `alias` to a version; one statement in the store, so readers see the old or the new one."""
        self.client.set_registered_model_alias(MODEL, alias, number)

    def version(self, alias: str) -> Version:
        """The version that `alias` points to.

        Raises
        ------
        NotReady : when there is none
        """
        found = self.find(alias)
        if found is None:
            raise NotReady(f"no {alias} in the registry of {self._workspace}: run `nextproduct train` first")
        return found

    def find(self, alias: str) -> Version | None:
        """The version that `alias` points to, if any."""
        if self._uri is None:
            entries = self._read(_BY_ALIAS, MODEL, alias)
            return self.version_of(*entries[0]) if entries else None
        from mlflow.exceptions import MlflowException

        try:
            entry = self.client.get_model_version_by_alias(MODEL, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise NotReady(f"the registry at {self._uri} cannot be asked: {error}") from error
        return self.version_of(str(entry.version), str(entry.run_id))

    def numbered(self, number: str) -> Version:
        """The version of that number.

        Raises
        ------
        NotFound : when there is none
        """
        if self._uri is None:
            entries = dict(self._read(_ALL, MODEL))
        else:
            from mlflow.exceptions import MlflowException

            try:
                found = self.client.search_model_versions(f"name = '{MODEL}'")
            except MlflowException as error:
                raise NotReady(f"the registry at {self._uri} cannot be asked: {error}") from error
            entries = {str(entry.version): str(entry.run_id) for entry in found}
        if number not in entries:
            known = ", ".join(sorted(entries, key=int)) or "none"
            raise NotFound(f"no version {number} in the registry of {self._workspace}; there are: {known}")
        return self.version_of(number, entries[number])

    def _read(self, query: str, *values: str) -> list[tuple[str, str]]:
        """Numbers and runs, read from MLflow's own tables: to import MLflow would take longer than all that serving
        does before its first answer."""
        database = self._workspace / _DATABASE
        if not database.is_file():
            return []
        try:
            # not opened for reading only: what a killed run has left half written could then not be taken back
            with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", _PATIENCE, uri=True)) as connection:
                return [(str(number), run_id) for number, run_id in connection.execute(query, values)]
        except sqlite3.Error as error:
            raise NotReady(
                f"the registry {database} cannot be read ({error}): another version of MLflow wrote it, or "
                "it is damaged"
            ) from None

    def version_of(self, number: str, run_id: str) -> Version:
        """A version whose run is known; the registry is not asked, only for files that are not on this machine yet."""
        if self._uri is None:
            return Version(number, run_id, self._artefacts(run_id) / BUNDLE)
        folder = self._workspace / "bundles" / run_id
        if not folder.is_dir():
            from mlflow.artifacts import download_artifacts

            aside = folder.with_name(f"{run_id}.part{os.getpid()}")
            download_artifacts(run_id=run_id, artifact_path=BUNDLE, dst_path=str(aside), tracking_uri=self._uri)
            put_in_place(aside / BUNDLE, folder)
            aside.rmdir()
        if not folder.is_dir():
            raise NotFound(f"the bundle of run {run_id} could not be fetched from {self._uri}")
        return Version(number, run_id, folder)

    def _artefacts(self, run_id: str) -> Path:
        """Where MLflow puts a run's files, but in the workspace as it lies now: MLflow notes an absolute path once,
        and a workspace may be moved."""
        return self._workspace / _ARTEFACTS / run_id / "artifacts"

    def _experiment_id(self) -> str:
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = (self._workspace / _ARTEFACTS).as_uri() if self._uri is None else None
        return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
