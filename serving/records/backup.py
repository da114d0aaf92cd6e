"""A copy of the records while others write: one file, of one moment, that verifies like what it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from features.files import written_aside

from .chain import Anchor
from .queue_files import waiting_files
from .records import Records


@dataclass(frozen=True)
class Backup:
    """What was copied.

    Attributes
    ----------
    head : the last entry in the copy
    waiting : files of decisions that were not on record yet, and are not in the copy
    """

    head: Anchor
    waiting: int


def back_up(records: Records, out: Path) -> Backup:
    """Copy every entry, as the records are now, to a SQLite file of mode 0600, whichever database they lie in.

    Files that SQLite has open cannot be copied by other means: what is written meanwhile is in one of them and not yet
    in the other. The copy is read with `Records.open_file`; in the place of ``records.db`` a service goes on from it.

    Raises
    ------
    BadInput : when there is an `out` already
    RecordsUnavailable : when the records cannot be read, or the copy cannot be written
    """
    with written_aside(out, replace=False, private=True) as aside:
        records.database.copy_to(aside)
        copy = Records.open_file(aside)
        head = copy.head
        copy.close()
    return Backup(head, len(waiting_files(records.workspace)))
