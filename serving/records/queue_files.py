"""Decisions that were answered while the database was away, in files of this machine until it is back.

A process writes to a file of its own and holds a lock on it; a file without one has lost its process, or was put aside
to be drained. A line is one append. The last line of a file may be torn: it was never answered.
"""

from __future__ import annotations

import base64
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import orjson

from features.errors import BadInput
from features.files import sync

from .entries import Entry, new_entry_id
from .errors import RecordsUnavailable

FOLDER = "records-queue"
"""Of the workspace."""

_TRIED = 1 << 16  # bytes, about as many as a block of decisions takes
_CHUNK = 256  # entries brought back at a time


class QueueFiles:
    """The files that this process writes.

    Parameters
    ----------
    workspace : `FOLDER` is made in it when it is needed
    """

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace / FOLDER
        self._lock = threading.Lock()
        self._active: _Active | None = None
        self._counts: dict[Path, int] = {}

    @property
    def count(self) -> int:
        """Entries of this process that are not back in the database."""
        with self._lock:
            self._counts = {path: count for path, count in self._counts.items() if path.exists()}
            return sum(self._counts.values())

    def append(self, appends: Sequence[Sequence[Entry]]) -> list[int]:
        """Write each append, all with one wait for the disk; 1 for each.

        Raises
        ------
        RecordsUnavailable : when the disk does not take them
        """
        data = b"".join(_line(entries) for entries in appends)
        with self._lock:
            try:
                if self._active is None:
                    self._active = _begin(self._folder)
                _write(self._active.descriptor, data)
            except OSError as error:
                self._put_aside()  # its last line may be torn
                raise RecordsUnavailable(
                    f"neither the database nor {self._folder} can be written ({error}): is the disk full?"
                ) from error
            path = self._active.path
            self._counts[path] = self._counts.get(path, 0) + sum(map(len, appends))
        return [1] * len(appends)

    def try_out(self) -> None:
        """Write a file and remove it again.

        Raises
        ------
        RecordsUnavailable : when the disk does not take it
        """
        path = self._folder / f".tried-{os.getpid()}-{threading.get_ident()}"
        try:
            self._folder.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write(descriptor, bytes(_TRIED))
            finally:
                os.close(descriptor)
                path.unlink()
        except OSError as error:
            raise RecordsUnavailable(
                f"neither the database nor {self._folder} can be written ({error}): is the disk full?",
                "neither the records' database nor the queue of decisions can be written",
            ) from error

    def put_aside(self) -> None:
        """Go on in a new file, so that what was written can be drained."""
        with self._lock:
            self._put_aside()

    def _put_aside(self) -> None:
        if self._active is not None:
            os.close(self._active.descriptor)
            self._active = None


def drain(workspace: Path, take: Callable[[Sequence[Entry]], None]) -> None:
    """Hand the entries of every file that nobody writes to `take`, oldest file first, and remove the file afterwards.

    Parameters
    ----------
    take : puts entries on record, those that are not there yet; called again with the same ones after an interruption

    Raises
    ------
    BadInput : when a file is damaged other than by a torn last line; it stays, the others are drained
    """
    damage: list[str] = []
    for path in waiting_files(workspace):
        with _adopted(path) as file:
            if file is None:
                continue
            found = _Lines(file)
            chunk: list[Entry] = []
            for entries in found:
                chunk.extend(entries)
                if len(chunk) >= _CHUNK:
                    take(chunk)
                    chunk = []
            if chunk:
                take(chunk)
            if found.damaged:
                damage.append(f"{path}, line {found.damaged[0]}")
            else:
                path.unlink()
    if damage:
        raise BadInput(
            f"records: {'; '.join(damage)}: damaged. Mend the line from a copy of the file, or remove it to let go of "
            "the decisions in it"
        )


def waiting_files(workspace: Path) -> list[Path]:
    """Files that are not drained yet, oldest first, those being written included."""
    return sorted((workspace / FOLDER).glob("*.jsonl"))


def queue_paths(workspace: Path) -> list[Path]:
    """The folder and all in it, if it is there."""
    folder = workspace / FOLDER
    return [folder, *folder.iterdir()] if folder.is_dir() else []


@dataclass(frozen=True)
class _Active:
    path: Path
    descriptor: int


def _begin(folder: Path) -> _Active:
    """A new file, which has our lock before anybody can see it."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync(folder.parent)
    path = folder / f"{new_entry_id()}-{os.getpid()}.jsonl"
    aside = folder / f".{path.name}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside.rename(path)
        sync(folder)
    except OSError:
        os.close(descriptor)
        raise
    return _Active(path, descriptor)


@contextmanager
def _adopted(path: Path) -> Iterator[BinaryIO | None]:
    """The file, locked; None if somebody writes or drains it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # drained by another process
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if os.fstat(file.fileno()).st_nlink else None


def _line(entries: Sequence[Entry]) -> bytes:
    content = orjson.dumps([
        asdict(entry) | {"payload": base64.b64encode(entry.payload).decode()} for entry in entries
    ])  # fmt: skip
    return orjson.dumps({"sha256": sha256(content).hexdigest(), "entries": orjson.Fragment(content)}) + b"\n"


class _Lines:
    """The appends in a file.

    Attributes
    ----------
    damaged : numbers of the lines that are not what was written, once all are read; the last line of the file may be so
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.damaged: list[int] = []

    def __iter__(self) -> Iterator[list[Entry]]:
        number = 0
        for number, line in enumerate(self._file, start=1):
            entries = _parsed(line)
            if entries is None:
                self.damaged.append(number)
            else:
                yield entries
        if self.damaged and self.damaged[-1] == number:
            del self.damaged[-1]


def _parsed(line: bytes) -> list[Entry] | None:
    """None if it is not what was written."""
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or set(content) != {"sha256", "entries"}:
        return None
    if sha256(orjson.dumps(content["entries"])).hexdigest() != content["sha256"]:
        return None
    return [Entry(**fields | {"payload": base64.b64decode(fields["payload"])}) for fields in content["entries"]]


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fdatasync(descriptor)
