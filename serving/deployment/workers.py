"""Which deployment each worker uses: a file a worker, in which it says so, so that who changes what is in use can wait
until nobody decides by what was in use before.

A worker holds a lock on its file for as long as it lives, however that ends: a file without one is of a dead worker.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from .deployments import FOLDER

WORKERS = "workers"
"""Folder, of that of the deployments."""

IN_FORCE_WITHIN = 30.0
"""Seconds that are waited for workers; opening a large build takes some."""

_DIGITS = 20
_POLL = 0.02


class Acknowledgement:
    """What this worker says of itself. Belongs to the thread that follows the deployments."""

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace / FOLDER / WORKERS
        self._path: Path | None = None
        self._descriptor = -1
        self._number = 0

    def say(self, number: int) -> None:
        """Say that nothing is decided here any more by a deployment before `number`.

        Raises
        ------
        OSError : when it cannot be said
        """
        text = f"{number:0{_DIGITS}d}\\n".encode()
        if self._path is not None and self._path.exists():
            os.pwrite(self._descriptor, text, 0)  # as long as what was there: readers see one or the other
            self._number = number
            return
        self.withdraw()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{os.getpid()}-{os.urandom(8).hex()}"
        aside = self._folder / f".{path.name}"
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(descriptor, text, 0)
            aside.rename(path)  # nobody sees it before it is ours
        except BaseException:
            os.close(descriptor)
            aside.unlink(missing_ok=True)
            raise
        self._path, self._descriptor, self._number = path, descriptor, number

    def has_said(self, number: int) -> bool:
        """Whether that is what others read; not when somebody has taken the file away."""
        return self._number == number and self._path is not None and self._path.exists()

    def withdraw(self) -> None:
        """Say that nothing is decided here any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._path = None


def wait_until_in_force(workspace: Path, number: int, seconds: float = IN_FORCE_WITHIN) -> tuple[int, int]:
    """Wait until every worker that lives uses the deployment `number`, or a later one; for threads that may wait.

    Returns
    -------
    late : workers that do not use it yet; 0 unless they took longer
    workers : all that there are
    """
    deadline = time.monotonic() + seconds
    while True:
        used = in_use_by_workers(workspace)
        late = sum(each < number for each in used)
        if not late or time.monotonic() >= deadline:
            return late, len(used)
        time.sleep(_POLL)


def in_use_by_workers(workspace: Path) -> list[int]:
    """The number of the deployment that each worker uses which lives; files of dead ones are removed."""
    numbers = []
    for path in (workspace / FOLDER / WORKERS).glob("[!.]*"):
        try:
            with path.open("rb") as file:
                if _is_held(file.fileno()):
                    numbers.append(int(file.read(_DIGITS)))
                else:
                    path.unlink(missing_ok=True)
        except FileNotFoundError:  # it ends just now
            continue
    return numbers


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
