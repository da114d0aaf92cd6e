"""All that is on record of a person, in one file: what they may ask for."""

from __future__ import annotations

from pathlib import Path

import orjson

from features.errors import NotFound
from features.files import written_aside

from .database import STORED
from .entries import ACCESS, Entry, StoredEntry, new_entry_id, now
from .erasure import bring_all_back
from .pages import pages
from .records import Records
from .suppressions import SuppressionKey
from .tables import entries

_NOT_IN_IT = {
    "states": "what the bank's tables told the states in use: the overview of the customer shows it",
    "campaign lists": "the files in lists/; an entry of kind list names a file, and nobody on it",
}


def export(records: Records, customer_id: str, out: Path, *, by: str) -> int:
    """Write every entry of a customer to a file of JSON, mode 0600, and the refusals that outlived what was erased; how
    many there are.

    That it was done is put on record first, as an entry of kind access, which is the last in the file.

    Parameters
    ----------
    by : who asks for it

    Raises
    ------
    NotFound : when nothing of that customer is on record
    RecordsUnavailable : when the records cannot be read or written, or decisions that wait in files cannot be put there
    """
    bring_all_back(records)
    key = SuppressionKey.find(records.workspace)
    names = [customer_id] if key is None else [customer_id, key.pseudonym(customer_id)]
    if not any(records.newest(1, customer_id=name) for name in names):
        raise NotFound(f"nothing of customer {customer_id} is on record")
    said = {"what": "export", "caller": {"subject": by, "how": "command"}, "from": None, "request_id": None, "times": 1}
    records.append_now([Entry(ACCESS, new_entry_id(), customer_id, orjson.dumps(said))])
    count = 0
    with written_aside(out, private=True) as aside, aside.open("wb") as file, records.database.snapshot() as connection:
        head = {"customer_id": customer_id, "made_at": now(), "made_by": by, "not_in_it": _NOT_IN_IT}
        file.write(orjson.dumps(head)[:-1] + b',"entries":[')
        for rows in pages(connection, STORED, entries.c.customer_id.in_(names)):
            for row in rows:
                file.write((b",\n" if count else b"\n") + orjson.dumps(StoredEntry(*row).to_dict()))
                count += 1
        file.write(b"\n]}\n")
    return count
