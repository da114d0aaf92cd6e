"""Things that happened to customers on a day and became known on a day: contacts, consents, complaints, and accounts
that mature."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import mapped

NO_CONVERSATION = -1
"""Of an event that names none."""

NEVER = np.iinfo(np.int32).max
"""The day of what has not happened."""


def conversation_number(conversation: str) -> int:
    """What stands for a conversation in arrays: the same in every build and process, and never below 0."""
    return int.from_bytes(blake2b(conversation.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1


@dataclass(frozen=True)
class EventLog:
    """A CSR list of events, customers by events, oldest first within a customer; what matures, by when it does.

    Attributes
    ----------
    indptr : int64, shape (n_customers + 1,)
    columns : arrays of shape (n_events,): days as int32 since 1970-01-01 (`NEVER`: not happened), codes as int16 or
        int32 (-1: missing), probabilities as float32 (NaN: missing); ``known_on`` is the day from which the bank knew
        of the event. Contacts have ``conversation``, int64, as `conversation_number` gives it, where any came
        from the inbox: the bank's own have `NO_CONVERSATION`
    vocabularies : the texts that a code column stands for
    """

    indptr: NDArray[np.int64]
    columns: dict[str, NDArray]
    vocabularies: dict[str, tuple[str, ...]]

    def code(self, column: str, text: str) -> int:
        """The code of `text`; -2 where no event has it, so that it equals none."""
        words = self.vocabularies[column]
        return words.index(text) if text in words else -2

    def save(self, folder: Path) -> None:
        """One .npy file a column, the vocabularies as JSON."""
        folder.mkdir(parents=True)
        np.save(folder / "indptr.npy", self.indptr)
        for name, column in self.columns.items():
            np.save(folder / f"column-{name}.npy", column)
        layout = {"columns": list(self.columns), "vocabularies": self.vocabularies}
        (folder / "layout.json").write_text(json.dumps(layout, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> EventLog:
        """Map what `save` wrote."""
        layout = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
        return cls(
            indptr=mapped(folder / "indptr.npy"),
            columns={name: mapped(folder / f"column-{name}.npy") for name in layout["columns"]},
            vocabularies={name: tuple(words) for name, words in layout["vocabularies"].items()},
        )
