"""Which software this is, so that what it put on record tells by what it was made."""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

_ROOMS = ("features", "training", "serving")
_SUFFIXES = (".py", ".yaml")  # the policies and packs that come along decide as much as the code


def digest_of_sources(folder: Path) -> str:
    """SHA-256 of name and content of every source file of the three rooms in a folder."""
    digest = sha256()
    for room in _ROOMS:
        for path in sorted(path for path in (folder / room).rglob("*") if path.suffix in _SUFFIXES):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


SOFTWARE = f"{version('nextproduct')}+{digest_of_sources(Path(__file__).parents[1])[:12]}"
"""The version of the package and, since that stays the same between releases, a digest of its sources, such as
``0.6.0+5f2d8c0e91ab``; read once, when this is imported: that is what runs."""


def decided_by(software: str) -> str:
    """Which version of nextproduct decided what is on record, and which one this is, in words for people.

    Parameters
    ----------
    software : what the record says, of the form of `SOFTWARE`
    """
    if software == SOFTWARE:
        return f"it was decided by {_in_words(software)}, and this is the same"
    return f"it was decided by {_in_words(software)}, and this is {_in_words(SOFTWARE)}"


def _in_words(software: str) -> str:
    number, _, sources = software.partition("+")
    return f"nextproduct {number} (sources {sources or 'not recorded'})"
