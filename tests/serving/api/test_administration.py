"""Swapping and going back; tests/serving/deployment has what is refused and what survives."""

import shutil
import sys
from functools import partial

import orjson
import pytest

from features.build.building import _remove_old_builds
from features.states import switch_to
from serving.decisions.policy.loading import demonstration_policy_path
from serving.deployment.workers import Acknowledgement
from tests.serving.api.bank import assert_problem, bank_of

SWAP, ROLLBACK = "/v1/admin/swap", "/v1/admin/rollback"


@pytest.fixture(scope="module")
def own_bank(trained, tmp_path_factory):
    with bank_of(trained, tmp_path_factory.mktemp("own"), access={"single_person": True}) as running:
        yield running


def in_use(bank):
    return bank.get("/readyz").json()["versions"]["policy"]


def write_policy(bank, version):
    text = demonstration_policy_path().read_text("utf-8").replace("2026.2", version)
    (bank.workspace / "policy.yaml").write_text(text, "utf-8")


@pytest.mark.parametrize("route", [SWAP, ROLLBACK])
class TestWhoMay:
    def test_anonymous(self, own_bank, route):
        assert_problem(own_bank.post(route, "", json={}), 401)

    @pytest.mark.parametrize("role", ["rm", "team_lead", "campaign_manager", "analyst", "risk_officer"])
    def test_nobody_but_administrators(self, own_bank, route, role):
        token = own_bank.token(role, rm_id="RM-1", branch_id="B-1")
        assert_problem(own_bank.post(route, token, json={}), 403, role)


def test_a_policy_goes_live_and_is_taken_back(own_bank):
    before = in_use(own_bank)
    write_policy(own_bank, "2026.3")
    assert in_use(own_bank) == before  # nothing happens by itself
    swapped = own_bank.post(SWAP, json={"policy": "current"})
    assert swapped.status_code == 200
    assert swapped.json()["policy"].startswith("demo@2026.3#")
    assert in_use(own_bank) == swapped.json()["policy"]  # at once
    back = own_bank.post(ROLLBACK)
    assert back.json()["policy"] == before
    assert in_use(own_bank) == before
    again = own_bank.post(SWAP, json={"policy": swapped.json()["policy"].rpartition("#")[2]})
    assert again.json()["policy"] == swapped.json()["policy"]
    assert in_use(own_bank) == swapped.json()["policy"]


def test_it_is_on_record_who_did_it(own_bank):
    made = own_bank.post(SWAP, json={}).json()
    entry = own_bank.service.records.newest(1, kind="deployment")[0]
    content = orjson.loads(entry.payload)
    assert content["deployment"] == made
    assert content["caller"]["role"] == "administrator"
    assert made["by"] == content["caller"]["subject"]


def test_a_worker_that_does_not_go_over_in_time_is_told(own_bank, monkeypatch):
    administration = sys.modules["serving.api.administration.routes"]
    limited = partial(administration.wait_until_in_force, seconds=1.0)
    monkeypatch.setattr(administration, "wait_until_in_force", limited)
    stuck = Acknowledgement(own_bank.workspace)
    stuck.say(1)
    try:
        number = own_bank.get("/readyz").json()["deployment"] + 1
        said = f"deployment {number} was put into use, and 1 of 2 workers do not use it yet"
        assert_problem(own_bank.post(SWAP, json={}), 504, said)
        assert own_bank.get("/readyz").json()["deployment"] == number
    finally:
        stuck.withdraw()
    assert own_bank.post(SWAP, json={}).status_code == 200


def test_what_is_broken_is_refused_and_changes_nothing(own_bank):
    before = own_bank.get("/readyz").json()
    with (own_bank.workspace / "policy.yaml").open("a", encoding="utf-8") as file:
        file.write("unknown_key: 3\n")
    assert_problem(own_bank.post(SWAP, json={"policy": "current"}), 422, "unknown_key")
    assert own_bank.get("/readyz").json() == before


@pytest.mark.parametrize(
    ("wanted", "said"), [({"model": "99"}, "99"), ({"states": "nowhere"}, "nowhere"), ({"policy": "f00"}, "f00")]
)
def test_what_there_is_not_is_not_found(own_bank, wanted, said):
    assert_problem(own_bank.post(SWAP, json=wanted), 404, said)


def test_names_are_names_not_paths(own_bank):
    for wanted in ({"states": "../.."}, {"policy": "../../etc"}, {"states": ".."}, {"policy": "."}):
        assert own_bank.post(SWAP, json=wanted).status_code in (404, 422)


def test_only_what_can_be_swapped_is_named(own_bank):
    assert_problem(own_bank.post(SWAP, json={"catalogue": "new"}), 422, "catalogue")


def test_builds_that_serve_are_not_removed_by_newer_ones(own_bank):
    """Broken before: a few builds without a swap, and a worker that was started again found its states gone."""
    in_use = own_bank.get("/readyz").json()["versions"]["states"]
    workspace = own_bank.workspace
    for number in range(4):  # builds that nobody put into use, the newest of all
        shutil.copytree(workspace / "states" / in_use, workspace / "states" / f"later-{number}")
    switch_to(workspace, "later-3")
    _remove_old_builds(workspace, keep=1)
    assert sorted(path.parent.name for path in (workspace / "states").glob("*/manifest.json")) == [in_use, "later-3"]
    switch_to(workspace, in_use)
