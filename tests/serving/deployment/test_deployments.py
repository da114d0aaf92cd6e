"""The files of deployments: whatever is killed, and whenever, one that is whole is current."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.errors import BadInput
from serving.decisions.policy.loading import POLICY_FILE, demonstration_policy_path
from serving.deployment import Deployment, Parts, current, history
from serving.deployment.changes import before_of
from serving.deployment.deployments import only_deployer, put_into_use

from .changing import bring_pack


def deployment(number, by="li"):
    noted = Parts("1", "a" * 32, "2026-06-30-0123456789ab", None)
    return Deployment(
        number, "1", "a" * 32, "2026-06-30-0123456789ab", "demo@1#0123456789ab", "0123456789ab",
        "2026-07-01T08:00:00+00:00", by, noted,
    )  # fmt: skip


@pytest.fixture
def two(tmp_path):
    """A workspace in which a second deployment is in use."""
    with only_deployer(tmp_path):
        for number in (1, 2):
            put_into_use(tmp_path, deployment(number))
    return tmp_path


def test_what_was_written_is_read(two):
    assert current(two) == deployment(2)
    assert history(two) == (deployment(1), deployment(2))


def test_what_was_written_but_never_in_use_is_no_deployment_and_its_number_is_given_again(two):
    (two / "deployments" / "000003.json").write_text("half a deploym", encoding="utf-8")
    assert current(two) == deployment(2)
    assert history(two) == (deployment(1), deployment(2))
    with only_deployer(two):
        put_into_use(two, deployment(3, "wang"))
    assert current(two) == deployment(3, "wang")


def test_a_damaged_file_is_named_with_what_to_do(two):
    folder = two / "deployments"
    for content in ("", "{", "[]", '{"number": 2}', json.dumps({"noted": {"model": 1}})):
        (folder / "000002.json").write_text(content, encoding="utf-8")
        with pytest.raises(BadInput, match=r"000002\.json is not the deployment that was written .*: restore it, or"):
            current(two)
    (folder / "CURRENT").write_text("the second", encoding="utf-8")
    with pytest.raises(BadInput, match="CURRENT says 'the second', which is no deployment: write the number of"):
        current(two)
    (folder / "CURRENT").write_text("1\n", encoding="utf-8")
    assert current(two) == deployment(1)


STEPS = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=12)
"""What is deployed, one after another; None: going back."""


@given(STEPS)
@example(["a", "b", "c", None, "b", None])
@example(["a", "b", "a", None, None])
@example(["a", "b", None, "c", None, None])
def test_going_back_is_taking_the_last_off_a_pile(steps):
    """Broken before: gone back from c to b, and deployed once more, b went back to c."""
    made, pile = [], []
    for step in steps:
        if step is not None:
            made.append(replace(deployment(len(made) + 1), model=step))
            pile.append(step)
            continue
        if not made:
            continue
        while pile and pile[-1] == made[-1].model:
            pile.pop()
        found = before_of(made)
        assert (found.model if found else None) == (pile[-1] if pile else None)
        if found is None:
            pile.append(made[-1].model)
        else:
            to = found.rolled_back_to or found.number
            made.append(replace(found, number=len(made) + 1, rolled_back_to=to))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are copied")
def test_killed_at_any_step_the_old_or_the_new_one_is_current_and_whole(tmp_path):
    """Real kills, before each thing that deploying does to the file system, in turn."""
    policy = tmp_path / POLICY_FILE
    shutil.copy(demonstration_policy_path(), policy)
    bring_pack(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _DIE_AT_EACH_STEP, str(tmp_path), str(policy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *killed, last = (json.loads(line) for line in done.stdout.splitlines())
    assert {end["signal"] for end in killed} == {signal.SIGKILL}
    assert last["signal"] == 0
    steps = {end["before"] for end in killed}
    assert {"os.mkdir policies/.new", "os.rename policies/.new", "os.rename deployments/.CURRENT.new"} <= steps
    numbers = [end["current"] for end in (*killed, last)]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (1, 2)
    for end in (*killed, last):
        # the policy is there as it was, or not at all; when it is in use it is there
        assert end["archived"] in ([True] if end["current"] == 2 else [None, True])
        # what the dead left behind is in nobody's way
        assert end["after"] == end["current"] + 1


_DIE_AT_EACH_STEP = """
import json, os, signal, sys
from itertools import count
from pathlib import Path
from serving.decisions.policy.loading import load_policy
from serving.deployment.deployments import current, only_deployer, put_into_use
from serving.deployment.policies import POLICIES, archive, archived
from tests.serving.deployment.test_deployments import deployment

policy = load_policy(Path(sys.argv[2]))

def deploy(workspace):
    with only_deployer(workspace):
        archive(workspace, policy)
        put_into_use(workspace, deployment(current(workspace).number + 1))

def die(step, workspace, pipe):
    left = step
    def before(event, arguments):
        nonlocal left
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"):
            return
        if not str(arguments[0]).startswith(str(workspace)):
            return
        if left == 0:
            os.write(pipe, f"{event} {Path(arguments[0]).relative_to(workspace)}".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    sys.addaudithook(before)

def in_a_child(work):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        work(tell)
        os._exit(0)
    os.close(tell)
    with open(told, "rb") as pipe:
        said = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), said

ended = 9
for step in count():
    workspace = Path(sys.argv[1]) / str(step)
    workspace.mkdir()
    with only_deployer(workspace):
        put_into_use(workspace, deployment(1))
    ended, before = in_a_child(lambda pipe: (die(step, workspace, pipe), deploy(workspace)))
    there = (workspace / POLICIES / policy.digest).exists()
    end = {
        "signal": ended,
        "before": before,
        "current": current(workspace).number,
        "archived": archived(workspace, policy.digest).digest == policy.digest if there else None,
    }
    failed, _ = in_a_child(lambda pipe: deploy(workspace))
    assert not failed
    print(json.dumps(end | {"after": current(workspace).number}))
    if not ended:
        break
"""
