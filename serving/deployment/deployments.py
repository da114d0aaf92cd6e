"""The deployments of a workspace: a file each, numbered, never changed, and ``CURRENT``, which says which is in use.

What is numbered above the current one was about to be put into use when its writer died: it never was, and its number
is given again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from features.errors import BadInput, NotFound
from features.files import replace_file

FOLDER = "deployments"
CURRENT = "CURRENT"

_LOCK = "LOCK"
_STARTING = "STARTING"


@dataclass(frozen=True)
class Parts:
    """What a workspace names; None: nothing that can be read.

    Attributes
    ----------
    model, run_id : the champion's version in the registry, and the run that made it
    states : the build of customer states
    policy : digest of the policy
    """

    model: str | None
    run_id: str | None
    states: str | None
    policy: str | None


@dataclass(frozen=True)
class Deployment:
    """One model, build of states and policy, put into use together.

    Attributes
    ----------
    number : counts from 1
    model, run_id : version in the registry, and the run that made it
    states : the build of customer states
    policy, policy_digest : ``name@version#digest``, and the digest alone
    at : when, UTC, ISO 8601
    by : who
    noted : what the workspace itself named then: when that changes, a service that starts takes it up
    rolled_back_to : the deployment whose parts these are, if they were gone back to
    """

    number: int
    model: str
    run_id: str
    states: str
    policy: str
    policy_digest: str
    at: str
    by: str
    noted: Parts
    rolled_back_to: int | None = None

    @property
    def parts(self) -> Parts:
        """What it is made of."""
        return Parts(self.model, self.run_id, self.states, self.policy_digest)


def current(workspace: Path) -> Deployment | None:
    """The deployment in use; None: there has been none yet.

    Raises
    ------
    BadInput : when its file is not one
    """
    number = current_number(workspace)
    return None if number is None else _read(workspace, number)


def current_number(workspace: Path) -> int | None:
    """The number of the deployment in use, at the cost of reading a few bytes."""
    path = workspace / FOLDER / CURRENT
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    if not text.isdecimal():
        raise BadInput(f"{path} says {text!r}, which is no deployment: write the number of one of those beside it")
    return int(text)


def history(workspace: Path) -> tuple[Deployment, ...]:
    """All deployments that were in use, the oldest first."""
    return tuple(_read(workspace, number) for number in range(1, (current_number(workspace) or 0) + 1))


def put_into_use(workspace: Path, deployment: Deployment) -> None:
    """Write a deployment, then say that it is the current one. To be called by the `only_deployer`."""
    content = json.dumps(asdict(deployment), ensure_ascii=False, indent=1)
    replace_file(_path(workspace, deployment.number), content.encode())
    replace_file(workspace / FOLDER / CURRENT, f"{deployment.number}\n".encode())


@contextmanager
def only_deployer(workspace: Path) -> Iterator[None]:
    """Keep other processes and threads from deploying meanwhile; the lock goes with the process, however that ends.

    Raises
    ------
    NotFound : when there is no such workspace
    """
    lock = os.open(_folder(workspace) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def announce_start(workspace: Path) -> None:
    """Have the first worker that comes look whether the workspace names something new.

    A worker that is started in place of one that died finds the announcement gone and takes up what is in use: what
    others were about to put into use does not go live because a process died.

    Raises
    ------
    NotFound : when there is no such workspace
    """
    (_folder(workspace) / _STARTING).touch()


def is_announced(workspace: Path) -> bool:
    """Whether a service has started and none of its workers has looked yet."""
    return (workspace / FOLDER / _STARTING).exists()


def withdraw_announcement(workspace: Path) -> None:
    """Say that a worker has looked."""
    (workspace / FOLDER / _STARTING).unlink(missing_ok=True)


def _folder(workspace: Path) -> Path:
    folder = workspace / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise NotFound(
            f"there is no workspace {workspace}: `nextproduct build` or `nextproduct demo` makes one"
        ) from None
    return folder


def _path(workspace: Path, number: int) -> Path:
    return workspace / FOLDER / f"{number:06d}.json"


def _read(workspace: Path, number: int) -> Deployment:
    path = _path(workspace, number)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        noted = Parts(**content.pop("noted"))
        return Deployment(noted=noted, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"{path} is not the deployment that was written ({type(error).__name__}: {error}): restore it, or write "
            f"the number of another into {CURRENT} beside it"
        ) from None


def going_live(workspace: Path) -> str:
    """How what a workspace has come to name goes into use, for people.

    Raises
    ------
    BadInput : when the current deployment's file is not one
    """
    now = current(workspace)
    if now is None:
        return (
            "Nothing is deployed yet: commands decide with it from now on, and "
            f"`nextproduct serve {workspace}` deploys it."
        )
    return (
        f"Deployment {now.number} stays in use (model {now.model}, states {now.states}, policy {now.policy}): what "
        "the workspace names goes live when the service is started anew, or by POST /v1/admin/swap."
    )
