"""Who changes what is in use knows which deployment every worker that lives uses."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from serving.deployment.deployments import FOLDER
from serving.deployment.workers import WORKERS, Acknowledgement, in_use_by_workers, wait_until_in_force

SAYING = """
import sys, time
from pathlib import Path
from serving.deployment.workers import Acknowledgement
said = Acknowledgement(Path(sys.argv[1]))
said.say(3)
print("said", flush=True)
time.sleep(600)
"""


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / FOLDER).mkdir()
    return tmp_path


def test_each_worker_says_which_it_uses_until_it_ends(workspace):
    assert in_use_by_workers(workspace) == []
    one, other = Acknowledgement(workspace), Acknowledgement(workspace)
    one.say(9)
    other.say(10)
    assert sorted(in_use_by_workers(workspace)) == [9, 10]
    one.say(10**9)
    assert sorted(in_use_by_workers(workspace)) == [10, 10**9]
    assert one.has_said(10**9)
    assert not one.has_said(9)
    one.withdraw()
    assert in_use_by_workers(workspace) == [10]
    other.withdraw()
    assert list((workspace / FOLDER / WORKERS).iterdir()) == []


def test_a_worker_that_was_killed_is_waited_for_no_longer(workspace):
    worker = subprocess.Popen([sys.executable, "-c", SAYING, str(workspace)], stdout=subprocess.PIPE)
    with worker:
        assert worker.stdout.readline() == b"said\n"
        assert in_use_by_workers(workspace) == [3]
        assert wait_until_in_force(workspace, 4, seconds=0.1) == (1, 1)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert wait_until_in_force(workspace, 4, seconds=0.1) == (0, 0)
    assert list((workspace / FOLDER / WORKERS).iterdir()) == []


def test_it_is_in_force_when_the_last_uses_it_or_a_later_one(workspace):
    one, other = Acknowledgement(workspace), Acknowledgement(workspace)
    one.say(2)
    other.say(1)
    late = threading.Timer(0.3, other.say, [3])
    start = time.monotonic()
    late.start()
    assert wait_until_in_force(workspace, 2) == (0, 2)
    assert time.monotonic() - start >= 0.3
    late.join()
    one.withdraw()
    other.withdraw()


def test_what_was_taken_away_is_said_again(workspace):
    said = Acknowledgement(workspace)
    said.say(1)
    next((workspace / FOLDER / WORKERS).iterdir()).unlink()
    assert not said.has_said(1)
    said.say(1)
    assert in_use_by_workers(workspace) == [1]
    said.withdraw()


def test_no_workspace_is_made_by_saying(tmp_path):
    with pytest.raises(FileNotFoundError):
        Acknowledgement(tmp_path / "gone").say(1)
    assert not (tmp_path / "gone").exists()
