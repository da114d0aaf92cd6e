"""The records: every decision, every answer to one, every event and every change of what serves, append-only and
chained by hashes, in SQLite or PostgreSQL.

Names are loaded on first use: whoever reads the settings need not pay for the database.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backup import Backup, back_up
    from .chain import Anchor
    from .config import RecordsConfig
    from .entries import Entry, StoredEntry, new_entry_id
    from .erasure import Erasure, Retention, erase, forget_before
    from .errors import NoRecords, RecordsUnavailable
    from .records import Records
    from .verification import Verification, verify

_MODULES = {
    "backup": ("Backup", "back_up"),
    "chain": ("Anchor",),
    "config": ("RecordsConfig",),
    "entries": ("Entry", "StoredEntry", "new_entry_id"),
    "erasure": ("Erasure", "Retention", "erase", "forget_before"),
    "errors": ("NoRecords", "RecordsUnavailable"),
    "records": ("Records",),
    "verification": ("Verification", "verify"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Anchor",
    "Backup",
    "Entry",
    "Erasure",
    "NoRecords",
    "Records",
    "RecordsConfig",
    "RecordsUnavailable",
    "Retention",
    "StoredEntry",
    "Verification",
    "back_up",
    "erase",
    "forget_before",
    "new_entry_id",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
