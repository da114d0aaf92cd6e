"""Files and folders that are there whole or not at all, whenever the process or the machine ends."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BadInput, NotFound

AnyPath = str | os.PathLike[str]
"""A path as people give it."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PRIVATE = stat.S_IRUSR | stat.S_IWUSR


def check_path(path: Path) -> None:
    """Refuse a place that a file cannot be written to, before the work that fills it.

    Raises
    ------
    BadInput : when its folder does not exist, or it is a folder itself
    """
    if not path.parent.is_dir():
        raise BadInput(f"there is no folder {path.parent} to write {path.name} to")
    if path.is_dir():
        raise BadInput(f"{path} is a folder: name a file")


@contextmanager
def written_aside(path: Path, *, replace: bool = True, private: bool = False) -> Iterator[Path]:
    """An empty file beside `path`, to be filled. It takes the place of `path` once it is on the disk; when it is not
    filled it is removed.

    Parameters
    ----------
    replace : whether `path` may be there already
    private : whether only the owner may read it, from the first byte on: mode 0600

    Raises
    ------
    BadInput : when `path` may not be there, and is
    """
    if not replace:
        _check_free(path)
    with _put_in_place(path.with_name(f".{path.name}.{os.getpid()}"), path, private) as aside:
        yield aside
        if not replace:
            _check_free(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file: readers see all of it or what was before.

    Raises
    ------
    BadInput : when `check_path` refuses `path`
    """
    check_path(path)
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def replace_file(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write `path`, by its only writer: readers see all of it or what was before. What a writer that was killed left
    is taken away.

    Parameters
    ----------
    private : as of `written_aside`
    """
    with _put_in_place(path.with_name(f".{path.name}.new"), path, private) as aside:
        aside.write_bytes(content)


def put_in_place(aside: Path, target: Path) -> None:
    """Move a file, or a folder with all that is in it, to where readers look for it, once it is on the disk.

    Parameters
    ----------
    target : on the same disk; a file may be there, a folder only if it is empty
    """
    for path in (*aside.rglob("*"), aside):
        sync(path)
    aside.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_writer_of(path: Path) -> Iterator[None]:
    """Keep other processes from changing `path` meanwhile; the lock goes with the process, however that ends.

    Raises
    ------
    NotFound : when the folder does not exist
    """
    if not path.parent.is_dir():
        raise NotFound(f"there is no workspace {path.parent}: `nextproduct build` or `nextproduct demo` makes one")
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def create_private(path: Path) -> None:
    """See to it that there is a file; a new one has mode 0600."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))


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
def _put_in_place(aside: Path, path: Path, private: bool) -> Iterator[Path]:
    aside.unlink(missing_ok=True)  # of a writer that was killed
    mode = _PRIVATE if private else 0o666  # as the umask has it, like any new file
    os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
    try:
        yield aside
        put_in_place(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise BadInput(f"{path} is there already: name a file that is not")
