"""Target lists on record: the file is kept under the digest of its content, and one entry of the records names it."""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow.parquet as pq

from features.contracts import CUSTOMER_ID
from features.files import put_in_place, written_aside

from ..deployment import Door
from ..records import Entry, new_entry_id
from ..records.chain import START
from ..records.entries import LIST
from .target_list import check_path, write_list

FOLDER = "lists"


@dataclass(frozen=True)
class ListWithout:
    """A kept list from which a person is to be taken.

    Attributes
    ----------
    path : the file as it is
    part : beside it, the same without the person
    name : what that will be called: the digest of its content
    """

    path: Path
    part: Path
    name: str

    def replace(self) -> None:
        """Put the one in the place of the other."""
        self.part.replace(self.path.with_name(self.name))
        self.path.unlink()


def lists_without(workspace: Path, customer_id: str) -> list[ListWithout]:
    """The kept lists that a person is on, and what each will be when they are taken off it; nothing is replaced yet."""
    found: list[ListWithout] = []
    for path in sorted((workspace / FOLDER).glob("[!.]*")):
        frame = _read(path)
        theirs = frame[CUSTOMER_ID] == customer_id
        if theirs.any():
            part = path.with_name(f".{os.getpid()}-{len(found)}{path.suffix}")
            write_list(frame[~theirs], part)
            found.append(ListWithout(path, part, f"{sha256(part.read_bytes()).hexdigest()}{path.suffix}"))
    return found


def _read(path: Path) -> pd.DataFrame:
    """A list as it was written: of CSV, whatever stands in a cell stays as it stands there."""
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    return pq.read_table(path).to_pandas()


@dataclass(frozen=True)
class KeptList:
    """A list on record.

    Attributes
    ----------
    entry_id : of its entry in the records
    path : the file that is kept
    """

    entry_id: str
    path: Path


def keep_list(door: Door, frame: pd.DataFrame, out: Path, asked: Mapping[str, Any], by: str) -> KeptList:
    """Keep a list in the workspace, put it on record, and only then write it to `out`.

    The entry says what was asked for, by whom, how many customers are on the list, with what it was decided and, by
    `after`, up to which entry all events were heard of: one that came while the list was begun may have been, too. The
    file, which is on the disk before the entry, is its content.

    Parameters
    ----------
    asked : what the list was asked for
    by : who asks for it

    Raises
    ------
    BadInput : when `out` cannot be written to
    RecordsUnavailable : when it cannot be put on record: then there is no list
    """
    check_path(out)
    folder = door.workspace / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    aside = folder / f".{os.getpid()}{out.suffix}"
    try:
        write_list(frame, aside)
        with aside.open("rb") as file:
            digest = sha256(file.read()).hexdigest()
        kept = folder / f"{digest}{out.suffix}"
        put_in_place(aside, kept)
    finally:
        aside.unlink(missing_ok=True)
    deployment = door.in_use.deployment
    content = {
        "list": {"file": kept.name, "sha256": digest, "customers": len(frame), "asked": asked},
        "day": door.engine.day().isoformat(),
        "deployment": None if deployment is None else deployment.number,
        "versions": door.engine.versions.to_dict(),
        "after": str(START if door.records is None else door.records.head),
        "caller": {"subject": by, "how": "command", "user": getpass.getuser()},
    }
    entry = Entry(LIST, new_entry_id(), None, orjson.dumps(content))
    door.put_on_record(entry)
    with written_aside(out, private=True) as part:
        shutil.copyfile(kept, part)
    return KeptList(entry.entry_id, kept)
