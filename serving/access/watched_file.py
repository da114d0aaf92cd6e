"""Files that are seen when they change."""

from __future__ import annotations

import time
from pathlib import Path

LOOK_EVERY = 1.0
"""Seconds between two looks at a file that may have changed."""


class WatchedFile:
    """A file that is looked at again at most once in `LOOK_EVERY` seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._look_again = -float("inf")
        self._seen: tuple[int, ...] | None = ()

    def has_changed(self) -> bool:
        """Whether it is another file than when this was last said, or is gone, or is there again.

        Costs a glance at the clock between two looks. True at the first.
        """
        now = time.monotonic()
        if now < self._look_again:
            return False
        self._look_again = now + LOOK_EVERY
        found = self._identity()
        if found == self._seen:
            return False
        self._seen = found
        return True

    def _identity(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:  # whoever reads it says what is wrong
            return (error.errno or 0,)
        # the time of change counts permissions too, which may be what is put right
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
