import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import NotFound, NotReady
from tests.command import python
from training.tracking import BUNDLE, CHALLENGER, CHAMPION, MODEL, Tracking, Version


@pytest.fixture
def bundle(tmp_path):
    """Something to log."""
    folder = tmp_path / BUNDLE
    (folder / "models").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "models" / "weights.txt").write_text("1 2 3", encoding="utf-8")
    return folder


@pytest.fixture
def tracking(trained, tmp_path):
    """The store of a workspace of its own."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(trained / "mlflow.db", workspace)
    shutil.copytree(trained / "mlartifacts", workspace / "mlartifacts")
    return Tracking(workspace)


def logged(tracking, bundle, name="test"):
    run_id = tracking.start_run(name, {}, {})
    tracking.log_folder(run_id, bundle, BUNDLE)
    tracking.finish_run(run_id)
    return run_id


class TestRuns:
    def test_parameters_tags_metrics_and_status_are_kept(self, tracking):
        run_id = tracking.start_run("train", {"horizon": 2, "models": ("a", "b")}, {"fingerprint.accounts": "ab12"})
        assert tracking.client.get_run(run_id).info.status == "RUNNING"
        tracking.log_metrics(run_id, {"validation/map@7/ease": 0.25})
        tracking.finish_run(run_id)
        run = tracking.client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "train"
        assert run.data.params == {"horizon": "2", "models": "('a', 'b')"}
        assert run.data.tags["fingerprint.accounts"] == "ab12"
        assert run.data.metrics == {"validation/map_at_7/ease": 0.25}  # MLflow allows no @

    def test_more_metrics_than_a_call_takes_are_kept(self, tracking):
        run_id = tracking.start_run("many", {}, {})
        metrics = {f"product/{number}": number / 2 for number in range(1201)}
        tracking.log_metrics(run_id, metrics)
        assert tracking.client.get_run(run_id).data.metrics == metrics

    def test_mlflow_finds_the_artefacts_where_it_looks_for_them(self, tmp_path, bundle):
        tracking = Tracking(tmp_path)
        run_id = logged(tracking, bundle)
        tracking.log_text(run_id, "特征", "features.json")
        assert {entry.path for entry in tracking.client.list_artifacts(run_id)} == {BUNDLE, "features.json"}
        assert {entry.path for entry in tracking.client.list_artifacts(run_id, BUNDLE)} == {
            f"{BUNDLE}/manifest.json",
            f"{BUNDLE}/models",
        }


class TestRegistry:
    def test_an_alias_points_to_the_newest_version_given_it(self, tracking, bundle):
        before = tracking.version(CHAMPION)
        first = tracking.register(logged(tracking, bundle), CHALLENGER)
        assert first.number == str(int(before.number) + 1)
        assert tracking.version(CHALLENGER) == first
        assert tracking.version(CHAMPION) == before
        tracking.point(CHAMPION, first.number)
        assert tracking.version(CHAMPION) == first
        assert (first.folder / "models" / "weights.txt").read_text(encoding="utf-8") == "1 2 3"
        assert tracking.client.get_model_version_by_alias(MODEL, CHAMPION).run_id == first.run_id

    def test_no_alias_is_not_ready(self, tracking):
        assert tracking.find(CHALLENGER) is None
        with pytest.raises(NotReady, match=r"no challenger in the registry of .*workspace.*nextproduct train"):
            tracking.version(CHALLENGER)

    def test_no_store_is_not_ready_and_none_is_made(self, tmp_path):
        with pytest.raises(NotReady, match="no champion"):
            Tracking(tmp_path).version(CHAMPION)
        assert list(tmp_path.iterdir()) == []

    def test_a_store_appears_whole_or_not_at_all(self, tmp_path, monkeypatch):
        """Broken before: a service that looked while the first run made the store broke it, for the run too."""

        def die_half_way(tracking_uri, **_):
            Path(tracking_uri.removeprefix("sqlite:///")).write_bytes(b"half")
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("mlflow.MlflowClient", die_half_way)
            with pytest.raises(KeyboardInterrupt):
                Tracking(tmp_path).start_run("train", {}, {})
        assert not (tmp_path / "mlflow.db").exists()
        assert Tracking(tmp_path).find(CHAMPION) is None
        assert Tracking(tmp_path).start_run("train", {}, {})
        assert Tracking(tmp_path).find(CHAMPION) is None
        assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db"}

    def test_what_is_read_without_mlflow_is_what_mlflow_says(self, tracking, bundle):
        """An MLflow that keeps its registry elsewhere in the database shows here."""
        runs = {tracking.register(logged(tracking, bundle), CHALLENGER).number for _ in range(2)}
        tracking.point("yesterdays", runs.pop())
        tracking.point(CHAMPION, runs.pop())
        for alias in (CHAMPION, CHALLENGER, "yesterdays"):
            entry = tracking.client.get_model_version_by_alias(MODEL, alias)
            artefacts = tracking._workspace / "mlartifacts" / entry.run_id / "artifacts" / BUNDLE
            assert tracking.version(alias) == Version(str(entry.version), entry.run_id, artefacts)
        entries = tracking.client.search_model_versions(f"name = '{MODEL}'")
        assert len(entries) == 3
        for entry in entries:
            assert tracking.numbered(str(entry.version)).run_id == entry.run_id

    def test_a_version_that_was_deleted_is_none(self, tracking, bundle):
        kept, deleted = (tracking.register(logged(tracking, bundle), CHALLENGER).number for _ in range(2))
        tracking.client.delete_model_version(MODEL, deleted)
        assert tracking.find(CHALLENGER) is None
        with pytest.raises(NotFound, match=rf"no version {deleted} in the registry of .*; there are: 1, {kept}$"):
            tracking.numbered(deleted)

    def test_versions_are_named_in_the_order_of_their_numbers(self, tracking, bundle):
        for _ in range(9):
            tracking.register(logged(tracking, bundle), CHALLENGER)
        with pytest.raises(NotFound, match=r"there are: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10$"):
            tracking.numbered("11")
        for number in ("01", "champion", "", "1.0"):
            with pytest.raises(NotFound):
                tracking.numbered(number)

    def test_a_registry_is_read_without_importing_mlflow(self, trained):
        """Broken before: it took most of the time of a suggestion on the command line."""
        done = python(
            "import sys; from pathlib import Path; from training.tracking import Tracking\n"
            f"tracking = Tracking(Path({str(trained)!r}))\n"
            "assert tracking.version('champion') == tracking.numbered('1')\n"
            "assert 'mlflow' not in sys.modules and 'sqlalchemy' not in sys.modules"
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_what_a_killed_writer_left_half_written_is_taken_back(self, tracking):
        database = tracking._workspace / "mlflow.db"
        expected = tracking.version(CHAMPION)
        killed = subprocess.run([sys.executable, "-c", _DIE_WRITING, str(database)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert database.with_name("mlflow.db-journal").stat().st_size > 0
        assert tracking.version(CHAMPION) == expected

    def test_a_registry_that_cannot_be_read_is_said_to_be_so(self, tmp_path):
        (tmp_path / "mlflow.db").write_bytes(b"no database, though it should be one" * 99)
        with pytest.raises(NotReady, match=r"the registry .*mlflow\.db cannot be read \(file is not a database\)"):
            Tracking(tmp_path).version(CHAMPION)

    def test_a_store_without_the_model_is_not_ready(self, tracking):
        with sqlite3.connect(tracking._workspace / "mlflow.db") as connection:
            for table in ("registered_model_aliases", "model_versions", "registered_models"):
                connection.execute(f"DELETE FROM {table}")
        connection.close()
        with pytest.raises(NotReady, match="no champion"):
            tracking.version(CHAMPION)

    def test_a_moved_workspace_reads_and_writes_where_it_is(self, trained, tmp_path, bundle):
        """Broken before: new bundles went to where the workspace had been, and the alias to where they were not."""
        old = set(trained.glob("mlartifacts/*"))
        moved = tmp_path / "somewhere else 别处"
        shutil.copytree(trained, moved)
        tracking = Tracking(moved)
        assert tracking.version(CHAMPION).folder.is_relative_to(moved)
        assert (tracking.version(CHAMPION).folder / "manifest.json").is_file()
        version = tracking.register(logged(tracking, bundle), CHAMPION)
        assert version.folder.is_relative_to(moved)
        assert (version.folder / "models" / "weights.txt").is_file()
        assert set(trained.glob("mlartifacts/*")) == old


class TestAnotherStore:
    def test_the_bundle_is_fetched_once(self, tmp_path, bundle, monkeypatch):
        monkeypatch.chdir(tmp_path)  # where MLflow, asked for no place, keeps artefacts
        uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        assert Tracking(workspace, uri).find(CHAMPION) is None
        tracking = Tracking(workspace, uri)
        run_id = logged(tracking, bundle)
        tracking.log_text(run_id, "{}", "features.json")
        version = tracking.register(run_id, CHAMPION)
        assert tracking.numbered(version.number) == version
        with pytest.raises(NotFound, match=r"there are: 1$"):
            tracking.numbered("2")
        assert version.folder == workspace / "bundles" / run_id
        assert (version.folder / "models" / "weights.txt").read_text(encoding="utf-8") == "1 2 3"
        assert [path.name for path in (workspace / "bundles").iterdir()] == [run_id]
        shutil.rmtree(tmp_path / "mlruns")
        assert Tracking(workspace, uri).version(CHAMPION) == version


_DIE_WRITING = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # what does not fit is written before the commit that never comes
connection.execute("BEGIN")
connection.execute("UPDATE model_versions SET run_id = 'half', description = ?", ("x" * 4000,))
connection.execute("UPDATE registered_model_aliases SET version = version + 1")
connection.execute("UPDATE metrics SET value = value + 1")
os.kill(os.getpid(), signal.SIGKILL)
"""
