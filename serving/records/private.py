"""Files of the records that an earlier version, or somebody, left open to others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from features.files import make_private

_log = logging.getLogger(__name__)


def tighten(paths: Iterable[Path]) -> None:
    """Keep others than the owner from reading or writing files and folders, and say which could be."""
    closed, open_ = [], []
    for path in paths:
        try:
            if make_private(path):
                closed.append(path)
        except FileNotFoundError:  # drained or checkpointed meanwhile
            continue
        except PermissionError:  # somebody else's
            open_.append(path)
    if closed:
        _log.warning("others than the owner could read %s: no longer", ", ".join(map(str, closed)))
    if open_:
        _log.warning(
            "%s belong to another user, who may have left them readable to others: chmod them to 600 as that user",
            ", ".join(map(str, open_)),
        )
