"""What a worker has in use: it follows deployments while it answers, and starts with what may be started with."""

import multiprocessing
import shutil
import subprocess
import sys
import threading
import time

import pytest

from features.errors import NotReady
from serving.deployment import current, history, in_workspace
from serving.deployment.deployments import announce_start, only_deployer, put_into_use
from serving.deployment.workers import in_use_by_workers

from .changing import break_policy, deploy, edit_policy, flip_a_byte, follower, made_of, roll_back, take_up


def eventually(holds, seconds=60):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def start():
    """Starts what workers have in use, and stops it in the end."""
    started = []

    def begin(workspace):
        started.append(follower(workspace))
        started[-1].start()
        return started[-1]

    yield begin
    for in_use in started:
        in_use.stop()


class TestFollowing:
    def test_an_answer_never_mixes_versions_and_none_fails_while_everything_changes(self, workspace, builds, start):
        in_use = start(workspace)
        first, opened = in_use.get()
        customer_id = opened.states.customer_id(0)
        seen, stop = {}, threading.Event()

        def ask():
            while not stop.is_set():
                deployment, engine = in_use.get()
                versions = engine.recommend(customer_id, 3).versions
                seen[deployment.number] = deployment
                assert (versions.model, versions.states) == (deployment.model, deployment.states)
                assert versions.policy == deployment.policy
            stop.said = True

        asking = threading.Thread(target=ask)
        asking.start()
        for changes in ({"model": "2"}, {"states": builds[1]}, {"model": "1", "states": builds[0]}):
            made = deploy(workspace, **changes, by="li")
            eventually(lambda made=made: made.number in seen)
        stop.set()
        asking.join()
        assert stop.said
        assert sorted(seen) == [1, 2, 3, 4]
        assert made_of(seen[4]) == made_of(first)
        assert in_use.failure is None

    def test_what_stays_is_the_same_object(self, workspace, start):
        in_use = start(workspace)
        _, before = in_use.get()
        edit_policy(workspace, "edited")
        deploy(workspace, policy="current", by="li")
        eventually(lambda: in_use.get()[0].number == 2)
        _, after = in_use.get()
        assert after.states is before.states
        assert after.bundle is before.bundle
        assert after.policy.digest != before.policy.digest

    def test_it_is_not_said_to_be_in_use_while_somebody_decides_by_what_was(self, workspace, start):
        in_use = start(workspace)
        assert in_use_by_workers(workspace) == [1]
        first, second = in_use.hold(), in_use.hold()
        edit_policy(workspace, "edited")
        deploy(workspace, policy="current", by="li")
        eventually(lambda: in_use.get()[0].number == 2)
        in_use.release(first)
        newer = in_use.hold()
        time.sleep(0.3)
        assert newer.deployment.number == 2
        assert in_use_by_workers(workspace) == [1]
        in_use.release(second)
        eventually(lambda: in_use_by_workers(workspace) == [2])
        in_use.release(newer)
        in_use.stop()
        assert in_use_by_workers(workspace) == []

    def test_what_it_said_is_said_again_when_it_was_taken_away(self, workspace, start):
        start(workspace)
        shutil.rmtree(workspace / "deployments" / "workers")
        eventually(lambda: in_use_by_workers(workspace) == [1])

    def test_what_cannot_be_opened_is_said_and_what_is_in_use_stays(self, workspace, builds, start):
        in_use = start(workspace)
        first = in_use.get()
        shutil.copytree(workspace / "states" / builds[1], workspace / "kept")
        made = deploy(workspace, states=builds[1], by="li")
        roll_back(workspace, by="li")
        eventually(lambda: in_use.get()[0].number == 3)
        shutil.rmtree(workspace / "states" / builds[1])
        with only_deployer(workspace):
            put_into_use(workspace, type(made)(**vars(made) | {"number": 4}))
        eventually(lambda: in_use.failure is not None)
        assert in_use.failure.startswith(f"no build {builds[1]} of customer states in {workspace}; there are: ")
        assert made_of(in_use.get()[0]) == made_of(first[0])
        # it was only late
        (workspace / "kept").rename(workspace / "states" / builds[1])
        eventually(lambda: in_use.get()[0].number == 4)
        assert in_use.failure is None

    def test_it_goes_on_when_the_deployments_are_taken_away(self, workspace, start):
        in_use = start(workspace)
        shutil.rmtree(workspace / "deployments")
        time.sleep(0.6)  # two looks
        assert in_use.get()[0].number == 1
        assert in_use.failure is None
        assert deploy(workspace, model="2", by="li").number == 1

    def test_stopped_it_follows_no_longer(self, workspace, start):
        in_use = start(workspace)
        in_use.stop()
        deploy(workspace, model="2", by="li")
        time.sleep(0.6)
        assert in_use.get()[0].number == 1


class TestStarting:
    def test_without_anything_it_says_what_to_run_and_looks_again(self, workspace, tmp_path, start):
        own = tmp_path / "own"
        own.mkdir()
        in_use = start(own)
        with pytest.raises(NotReady, match=f"no customer states in {own}: run `nextproduct build TABLES {own}` first"):
            in_use.get()
        shutil.copytree(workspace / "states", own / "states")
        eventually(lambda: "run `nextproduct train` first" in in_use.failure)
        shutil.copytree(workspace / "mlartifacts", own / "mlartifacts")
        shutil.copy(workspace / "mlflow.db", own / "copied.db")
        (own / "copied.db").rename(own / "mlflow.db")
        eventually(lambda: in_use.failure is None)
        assert made_of(in_use.get()[0])[:2] == ("1", current(own).states)

    def test_no_workspace_is_said(self, tmp_path, start):
        in_use = start(tmp_path / "nowhere")
        with pytest.raises(NotReady, match=r"there is no workspace .*nowhere: `nextproduct build` or"):
            in_use.get()

    def test_a_broken_champion_is_said_before_anything_was_in_use(self, workspace, start):
        flip_a_byte(workspace, "1")
        in_use = start(workspace)
        with pytest.raises(NotReady, match=r"changed since it was written: fallback\.npy"):
            in_use.get()
        assert current(workspace) is None

    def test_what_was_gone_back_to_is_in_use_after_a_restart(self, workspace):
        deploy(workspace, by="li")
        deploy(workspace, model="2", by="li")
        back = roll_back(workspace, by="li")
        (deployment, engine), refused = take_up(workspace)
        assert deployment == back == current(workspace)
        assert (engine.versions.model, refused) == ("1", None)

    def test_what_the_workspace_has_come_to_name_is_in_use_after_a_restart(self, workspace, builds):
        deploy(workspace, by="li")
        deploy(workspace, model="2", by="li")
        edit_policy(workspace, "put into use since")
        (deployment, engine), refused = take_up(workspace)
        assert (deployment.number, deployment.by, refused) == (3, "serve", None)
        assert deployment.parts == in_workspace(workspace)
        assert engine.versions.policy == deployment.policy
        assert take_up(workspace)[0].deployment == deployment

    def test_what_cannot_be_used_does_not_keep_it_from_what_could(self, workspace, start):
        made = deploy(workspace, by="li")
        break_policy(workspace)
        in_use = start(workspace)
        assert in_use.get()[0] == made
        assert in_use.failure.startswith(f"deployment 1 stays in use, what {workspace} names now cannot be used: ")
        assert "no_such_section: unknown key" in in_use.failure
        # until something is deployed that can be used
        deploy(workspace, model="2", by="li")
        eventually(lambda: in_use.failure is None)
        assert in_use.get()[0].number == 2

    def test_what_is_gone_is_said(self, workspace, builds, start):
        deploy(workspace, states=builds[1], by="li")
        shutil.rmtree(workspace / "states" / builds[1])
        in_use = start(workspace)
        with pytest.raises(NotReady, match=rf"no build {builds[1]} of customer states in .*; there are: {builds[0]}"):
            in_use.get()

    def test_of_workers_that_start_together_one_deploys(self, workspace):
        deploy(workspace, by="li")
        edit_policy(workspace, "put into use since")
        code = (
            "import sys; from pathlib import Path; from tests.serving.deployment.changing import take_up\n"
            "print(take_up(Path(sys.argv[1]))[0].deployment.number)"
        )
        workers = [
            subprocess.Popen([sys.executable, "-c", code, str(workspace)], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        assert [worker.communicate(timeout=240)[0] for worker in workers] == 3 * ["2\n"]
        assert [made.number for made in history(workspace)] == [1, 2]

    def test_a_worker_in_place_of_one_that_died_puts_nothing_new_into_use(self, workspace):
        """Only a start that was announced does: what is being prepared does not go live because a process died."""
        deploy(workspace, by="li")
        edit_policy(workspace, "not deployed yet")
        announce_start(workspace)
        edited = in_workspace(workspace)
        assert _number_in_a_worker(workspace) == 2
        assert current(workspace).parts == edited
        edit_policy(workspace, "not deployed yet either")
        assert _number_in_a_worker(workspace) == 2
        assert take_up(workspace)[0].deployment.number == 3


def _number_in_a_worker(workspace):
    """Of the deployment that a spawned process takes up."""
    spawn = multiprocessing.get_context("spawn")
    told, tell = spawn.Pipe(duplex=False)
    with told, tell:
        worker = spawn.Process(target=_take_up, args=(workspace, tell))
        worker.start()
        worker.join(timeout=240)
        assert worker.exitcode == 0
        return told.recv()


def _take_up(workspace, tell):
    tell.send(take_up(workspace)[0].deployment.number)
