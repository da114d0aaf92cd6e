"""Files that only their owner may read: made so before anything stands in them, and seen whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import BadInput

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def replace_private(path: Path, content: bytes) -> None:
    """Write `path`, mode 0600: readers see all of it or what was before. To be called by its only writer."""
    with _put_in_place(path.with_name(f".{path.name}.new"), path) as aside:
        aside.write_bytes(content)


@contextmanager
def written_aside(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """An empty file of mode 0600 beside `path`, to be filled. It takes the place of `path` once it is on the disk; when
    it is not filled it is removed.

    Parameters
    ----------
    replace : whether `path` may be there already

    Raises
    ------
    BadInput : when it may not, and is
    """
    if not replace:
        _check_free(path)
    with _put_in_place(path.with_name(f".{path.name}.{os.getpid()}"), path) as aside:
        yield aside
        if not replace:
            _check_free(path)


def create_private(path: Path) -> None:
    """See to it that there is a file; a new one has mode 0600."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def make_private(path: Path) -> bool:
    """Take from everybody but the owner what they may do with a file or folder; whether there was anything to take.

    Raises
    ------
    OSError : when it is not there, or somebody else's
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & _OTHERS:
        return False
    path.chmod(mode & ~_OTHERS)
    return True


@contextmanager
def _put_in_place(aside: Path, path: Path) -> Iterator[Path]:
    aside.unlink(missing_ok=True)  # of a writer that was killed
    os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield aside
        _sync(aside, os.O_RDWR)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _sync(path.parent, os.O_RDONLY)


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise BadInput(f"{path} is there already: name a file that is not")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
