"""What the processes that write the same file share: whose turn it is, and where the chain ends."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from hashlib import sha256
from pathlib import Path
from struct import Struct

from .chain import Anchor

_PLACE = Struct(">q32s")
_SIZE = _PLACE.size + 32

# fcntl's lets other threads run around each call; under a busy event loop it takes milliseconds to come back
_flock = ctypes.PyDLL(None).flock


class SharedEnd:
    """A file to be locked by whoever writes, in which the last of them left where the chain ends.

    It is mapped into memory, so that the end is known without asking the database. It is not to be relied on: a writer
    may die before it tells.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._descriptor).st_size < _SIZE:
                os.ftruncate(self._descriptor, _SIZE)
            self._map = mmap.mmap(self._descriptor, _SIZE)
        except BaseException:
            os.close(self._descriptor)
            raise

    def locked(self) -> _Locked:
        """A context in which no other process, and no other `SharedEnd` of this one, writes."""
        return _Locked(self._descriptor)

    def get(self) -> Anchor | None:
        """Where the chain ends; None where nobody has left it whole."""
        found = self._map[:_SIZE]
        if _with_checksum(found[: _PLACE.size]) != found:
            return None
        return Anchor(*_PLACE.unpack_from(found))

    def set(self, end: Anchor) -> None:
        """Leave where it ends for the next writer."""
        self._map[:_SIZE] = _with_checksum(_PLACE.pack(end.seq, end.chain))

    def forget(self) -> None:
        """Have the next writer look it up."""
        self._map[:_SIZE] = bytes(_SIZE)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._descriptor)


class _Locked:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        if _flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB) != 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        _flock(self._descriptor, fcntl.LOCK_UN)


def _with_checksum(place: bytes) -> bytes:
    return place + sha256(place).digest()
