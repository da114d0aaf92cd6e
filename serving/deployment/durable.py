"""Files that are there whole or not at all, whenever the process or the machine ends."""

from __future__ import annotations

import os
from pathlib import Path


def replace_durably(path: Path, content: bytes) -> None:
    """Write `path`, by its only writer: readers see all of it or what was before, after a power failure too."""
    aside = path.with_name(f".{path.name}.new")
    write_durably(aside, content)
    aside.replace(path)
    settle(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that nobody reads yet, down to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def settle(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
