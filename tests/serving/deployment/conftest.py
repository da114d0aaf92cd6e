import json
import shutil

import pytest

from features.build import build_states
from features.states import current_states, switch_to
from tests.training.banks import synthetic_tables
from training.tracking import BUNDLE, CHALLENGER, CHAMPION, Tracking


@pytest.fixture(scope="package")
def prepared(trained, session_folder, tmp_path_factory):
    """A workspace with two versions of the model, champion and challenger, and two builds, the newer in use; read
    only."""
    workspace = tmp_path_factory.mktemp("deployment") / "workspace"
    shutil.copytree(trained, workspace)
    newer = current_states(workspace).manifest
    as_of = current_states(workspace).calendar.end_of(current_states(workspace).as_of_period - 1)
    build_states(synthetic_tables(session_folder), workspace, as_of=as_of)
    switch_to(workspace, newer.build_id)
    tracking = Tracking(workspace)
    run_id = tracking.start_run("train", {}, {})
    tracking.log_folder(run_id, tracking.version(CHAMPION).folder, BUNDLE)
    tracking.finish_run(run_id)
    tracking.register(run_id, CHALLENGER)
    return workspace


@pytest.fixture
def workspace(prepared, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(prepared, tmp_path / "workspace")


@pytest.fixture(scope="package")
def builds(prepared):
    """Ids of the two builds: the one in use, and the one of a period before."""
    newer = current_states(prepared).manifest.build_id
    (older,) = {path.parent.name for path in (prepared / "states").glob("*/manifest.json")} - {newer}
    assert json.loads((prepared / "states" / older / "manifest.json").read_text())["as_of"] < newer[:10]
    return newer, older
