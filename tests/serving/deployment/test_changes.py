"""Deploying and going back: all of what is named is in use, or nothing has changed."""

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from features.errors import BadConfiguration, BadInput, NotFound, NotReady
from features.states import switch_to
from serving.decisions.policy.loading import POLICY_FILE, demonstration_policy_path, load_policy, standard_policy_path
from serving.decisions.policy.problems import BadPolicy
from serving.deployment import (
    Parts,
    changes,
    current,
    history,
    in_workspace,
    missing_inputs,
    open_in_use,
)
from tests.serving.later import CLOCK
from training.tracking import CHAMPION, Tracking

from .changing import (
    break_policy,
    bring_pack,
    deploy,
    edit_policy,
    flip_a_byte,
    made_of,
    open_deployment,
    open_versions,
    roll_back,
)


@pytest.fixture
def digest(workspace):
    """Of the policy in the workspace."""
    return load_policy(workspace / POLICY_FILE).digest


class TestDeploying:
    def test_nothing_was_in_use_at_first(self, workspace):
        assert current(workspace) is None
        assert history(workspace) == ()

    def test_named_nothing_it_takes_what_the_workspace_names(self, workspace, builds, digest):
        before = datetime.now(UTC).replace(microsecond=0)
        made = deploy(workspace, by="li")
        run_id = Tracking(workspace).version(CHAMPION).run_id
        assert made.number == 1
        assert made.parts == in_workspace(workspace) == made.noted == Parts("1", run_id, builds[0], digest)
        assert made.policy == f"demo@2026.2#{digest}"
        assert made.by == "li"
        assert before <= datetime.fromisoformat(made.at) <= datetime.now(UTC)
        assert current(workspace) == made
        assert history(workspace) == (made,)

    def test_what_is_not_named_stays(self, workspace, builds, digest):
        deploy(workspace, by="li")
        edit_policy(workspace, "in the workspace, not in use")
        edited = load_policy(workspace / POLICY_FILE).digest
        assert made_of(deploy(workspace, model="2", by="li")) == ("2", builds[0], digest)
        assert made_of(deploy(workspace, states=builds[1], by="li")) == ("2", builds[1], digest)
        assert made_of(deploy(workspace, policy="current", by="li")) == ("2", builds[1], edited)
        assert made_of(deploy(workspace, policy=digest, by="li")) == ("2", builds[1], digest)
        assert made_of(deploy(workspace, model="champion", by="li")) == ("1", builds[1], digest)
        assert made_of(deploy(workspace, states="current", by="li")) == ("1", builds[0], digest)
        assert [made.number for made in history(workspace)] == [1, 2, 3, 4, 5, 6, 7]

    def test_the_first_takes_the_rest_from_the_workspace(self, workspace, builds, digest):
        assert made_of(deploy(workspace, model="2", by="li")) == ("2", builds[0], digest)

    def test_unknown_names_are_not_found_and_the_known_ones_are_said(self, workspace, builds, digest):
        made = deploy(workspace, by="li")
        with pytest.raises(NotFound, match=r"no version 9 in the registry of .*; there are: 1, 2$"):
            deploy(workspace, model="9", by="li")
        with pytest.raises(
            NotFound, match=rf"no build 1999 of customer states in .*; there are: {builds[1]}, {builds[0]}"
        ):
            deploy(workspace, states="1999", by="li")
        with pytest.raises(NotFound, match=r"no build \.\./states/"):
            deploy(workspace, states=f"../states/{builds[0]}", by="li")
        with pytest.raises(NotFound, match=rf"no policy of digest abc was in use in .*; there are: {digest}$"):
            deploy(workspace, policy="abc", by="li")
        assert history(workspace) == (made,)

    def test_a_bundle_of_which_a_bit_is_wrong_is_refused(self, workspace):
        made = deploy(workspace, by="li")
        flip_a_byte(workspace, "2")
        with pytest.raises(BadInput, match=r"changed since it was written: fallback\.npy"):
            deploy(workspace, model="2", by="li")
        assert history(workspace) == (made,)

    def test_a_bundle_that_is_gone_is_not_found(self, workspace):
        made = deploy(workspace, by="li")
        shutil.rmtree(Tracking(workspace).numbered("2").folder)
        with pytest.raises(NotFound, match="the bundle of model version 2 is gone: it was in "):
            deploy(workspace, model="2", by="li")
        assert history(workspace) == (made,)

    def test_a_policy_that_cannot_be_used_is_refused(self, workspace):
        made = deploy(workspace, by="li")
        break_policy(workspace)
        with pytest.raises(BadPolicy, match="no_such_section: unknown key"):
            deploy(workspace, policy="current", by="li")
        # sound by itself, but not for this bank
        text = demonstration_policy_path().read_text(encoding="utf-8")
        text = re.sub(r"^debts:.*", "debts: [no-such-family]", text, flags=re.MULTILINE)
        (workspace / POLICY_FILE).write_text(text, encoding="utf-8")
        with pytest.raises(BadPolicy, match="no-such-family"):
            deploy(workspace, policy="current", by="li")
        assert history(workspace) == (made,)

    def test_a_policy_in_use_stays_usable_whatever_becomes_of_the_file(self, workspace, builds, digest):
        deploy(workspace, by="li")
        break_policy(workspace)
        made = deploy(workspace, model="2", by="li")
        assert made_of(made) == ("2", builds[0], digest)
        assert made.noted.policy is None  # the workspace names none that can be read
        assert open_deployment(workspace, made).engine.policy.digest == digest

    def test_what_is_missing_is_said_with_the_job_that_makes_it(self, workspace, tmp_path):
        with pytest.raises(NotReady, match="run `nextproduct build TABLES "):
            deploy(tmp_path, by="li")
        (workspace / "mlflow.db").unlink()
        with pytest.raises(NotReady, match="run `nextproduct train` first"):
            deploy(workspace, by="li")
        with pytest.raises(NotFound, match=r"there is no workspace .*nowhere"):
            deploy(tmp_path / "nowhere", by="li")
        assert current(workspace) is None

    def test_the_standard_policy_serves_a_workspace_without_its_own(self, workspace):
        (workspace / POLICY_FILE).unlink()
        made = deploy(workspace, by="li")
        assert made.policy_digest == load_policy(standard_policy_path()).digest
        assert open_deployment(workspace, made).engine.policy.path.is_relative_to(workspace / "policies")


class TestPacks:
    def test_a_pack_of_its_own_is_kept_with_the_policy(self, workspace):
        pack = bring_pack(workspace)
        made = deploy(workspace, by="li")
        pack.unlink()
        policy = open_deployment(workspace, made).engine.policy
        assert policy.digest == made.policy_digest
        assert policy.pack_beside == workspace / "policies" / made.policy_digest / pack.name

    def test_what_was_changed_where_it_was_kept_is_noticed(self, workspace):
        pack = bring_pack(workspace)
        made = deploy(workspace, by="li")
        kept = workspace / "policies" / made.policy_digest / pack.name
        kept.write_bytes(kept.read_bytes() + b"# eased\n")
        with pytest.raises(BadInput, match="is not the one that was kept: its digest is"):
            open_deployment(workspace, made)
        with pytest.raises(BadInput, match=r"our-pack\.yaml is not what was kept there: move .* away and ask again"):
            deploy(workspace, by="li")
        assert current(workspace) == made

    def test_a_pack_that_lies_elsewhere_cannot_come_along(self, workspace):
        bring_pack(workspace, "packs/our-pack.yaml")
        with pytest.raises(
            BadConfiguration, match=r"packs/our-pack\.yaml does not lie beside the policy: put the pack"
        ):
            deploy(workspace, by="li")
        assert current(workspace) is None


class TestGoingBack:
    def test_each_time_goes_one_further_back_until_there_is_nothing(self, workspace, builds, digest):
        first = deploy(workspace, by="li")
        second = deploy(workspace, model="2", by="li")
        deploy(workspace, states=builds[1], by="li")
        back = roll_back(workspace, by="wang")
        assert (back.number, back.rolled_back_to, back.by) == (4, 2, "wang")
        assert back.parts == second.parts
        again = roll_back(workspace, by="wang")
        assert (again.number, again.rolled_back_to) == (5, 1)
        assert again.parts == first.parts
        with pytest.raises(NotFound, match=r"nothing else was in use in .* before deployment 1"):
            roll_back(workspace, by="wang")
        assert current(workspace) == again

    def test_back_from_what_came_after_going_back_is_what_was_gone_back_to(self, workspace, builds):
        deploy(workspace, by="li")
        second = deploy(workspace, model="2", by="li")
        deploy(workspace, states=builds[1], by="li")
        assert roll_back(workspace, by="li").parts == second.parts
        deploy(workspace, model="1", by="li")
        back = roll_back(workspace, by="li")
        assert (back.parts, back.rolled_back_to) == (second.parts, 2)
        assert roll_back(workspace, by="li").rolled_back_to == 1

    def test_what_was_deployed_twice_is_gone_back_from_once(self, workspace):
        first = deploy(workspace, by="li")
        for _ in range(3):
            deploy(workspace, model="2", by="li")
        assert roll_back(workspace, by="li").parts == first.parts

    def test_what_is_open_already_is_not_opened_again(self, workspace, builds, monkeypatch):
        first = deploy(workspace, by="li")
        second = deploy(workspace, states=builds[1], by="li")
        opened = open_deployment(workspace, second)
        monkeypatch.setattr(changes, "open_bundle", lambda version: pytest.fail("the same model is opened again"))
        assert roll_back(workspace, by="li", share=opened).parts == first.parts

    def test_nothing_has_been_in_use_yet(self, workspace):
        with pytest.raises(NotFound, match="nothing has been in use in"):
            roll_back(workspace, by="li")

    def test_what_is_gone_is_named_and_what_is_in_use_stays(self, workspace, builds):
        deploy(workspace, states=builds[1], by="li")
        made = deploy(workspace, states="current", by="li")
        shutil.rmtree(workspace / "states" / builds[1])
        with pytest.raises(NotFound, match=rf"no build {builds[1]} of customer states in .*; there are: {builds[0]}$"):
            roll_back(workspace, by="li")
        assert current(workspace) == made

    def test_it_needs_neither_the_registry_nor_a_policy_in_the_workspace_that_is_sound(self, workspace):
        first = deploy(workspace, by="li")
        deploy(workspace, model="2", by="li")
        break_policy(workspace)
        (workspace / "mlflow.db").unlink()
        back = roll_back(workspace, by="li")
        assert back.parts == first.parts
        assert back.noted == Parts(None, None, first.states, None)


class TestOpening:
    def test_it_opens_those_parts_and_not_what_the_workspace_names(self, workspace, builds, digest):
        deploy(workspace, model="2", states=builds[1], by="li")
        edit_policy(workspace, "later")
        versions = open_deployment(workspace, current(workspace)).engine.versions
        assert (versions.model, versions.states) == ("2", builds[1])
        assert versions.policy == f"demo@2026.2#{digest}"
        assert open_in_use(workspace, None, CLOCK).engine.versions == versions

    def test_what_two_deployments_have_in_common_is_shared(self, workspace, builds):
        first = deploy(workspace, by="li")
        opened = open_deployment(workspace, first)
        second = deploy(workspace, model="2", by="li")
        other = open_deployment(workspace, second, share=opened)
        assert other.engine.states is opened.engine.states
        assert other.engine.policy is opened.engine.policy
        assert other.engine.bundle is not opened.engine.bundle
        third = deploy(workspace, states=builds[1], by="li")
        last = open_deployment(workspace, third, share=other)
        assert last.engine.states is not other.engine.states
        assert last.engine.bundle is other.engine.bundle

    def test_the_same_number_of_another_registry_is_not_shared(self, workspace):
        made = deploy(workspace, by="li")
        opened = open_deployment(workspace, made)
        again = deploy(workspace, model="2", by="li")
        imitated = json.loads(json.dumps(vars(again) | {"model": "1", "noted": None}))
        other = open_deployment(workspace, type(again)(**imitated), share=opened)
        assert other.engine.bundle is not opened.engine.bundle

    def test_what_a_decision_was_made_with_can_be_opened_again(self, workspace, builds):
        deploy(workspace, states=builds[1], by="li")
        versions = open_deployment(workspace, current(workspace)).engine.versions
        edit_policy(workspace, "later")
        deploy(workspace, by="li")
        assert missing_inputs(workspace, None, versions.to_dict()) == ()
        assert open_versions(workspace, versions.to_dict()).versions == versions

    def test_all_that_is_missing_is_named(self, workspace, builds, digest):
        deploy(workspace, by="li")
        versions = open_deployment(workspace, current(workspace)).engine.versions.to_dict()
        shutil.rmtree(workspace / "states" / builds[0])
        shutil.rmtree(Tracking(workspace).numbered("1").folder)
        shutil.rmtree(workspace / "policies")
        states, bundle, policy = missing_inputs(workspace, None, versions)
        assert states.startswith(f"no build {builds[0]} of customer states in")
        assert bundle.startswith("the bundle of model version 1 is gone")
        assert policy.startswith(f"no policy of digest {digest} was in use in")
        with pytest.raises(NotFound):
            open_versions(workspace, versions)


def test_processes_and_threads_that_deploy_at_once_take_turns(workspace, builds):
    """Every one of their deployments is in the history, with what it asked for and what was in use of the rest."""
    deploy(workspace, by="first")
    code = (
        "import sys; from pathlib import Path; from tests.serving.deployment.changing import deploy\n"
        "for _ in range(3): deploy(Path(sys.argv[1]), states=sys.argv[2], by='process')"
    )
    running = subprocess.Popen([sys.executable, "-c", code, str(workspace), builds[1]])
    with ThreadPoolExecutor(2) as threads:
        for _ in range(3):
            threads.submit(deploy, workspace, model="2", by="thread").result()
            threads.submit(deploy, workspace, model="1", by="thread").result()
    assert running.wait(timeout=120) == 0
    made = history(workspace)
    assert [each.number for each in made] == list(range(1, 11))
    assert sorted(each.by for each in made) == ["first"] + 3 * ["process"] + 6 * ["thread"]
    for before, after in pairwise(made):
        kept = (before.states, before.policy_digest) if after.by == "thread" else (before.model, before.policy_digest)
        assert kept == (
            (after.states, after.policy_digest) if after.by == "thread" else (after.model, after.policy_digest)
        )


def test_in_workspace_follows_alias_pointer_and_file(workspace, builds, digest):
    tracking = Tracking(workspace)
    assert in_workspace(workspace) == Parts("1", tracking.numbered("1").run_id, builds[0], digest)
    tracking.point(CHAMPION, "2")
    switch_to(workspace, builds[1])
    edit_policy(workspace, "edited")
    edited = load_policy(workspace / POLICY_FILE).digest
    assert in_workspace(workspace) == Parts("2", tracking.numbered("2").run_id, builds[1], edited)
