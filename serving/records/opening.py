"""Which database the records of a workspace are in."""

from __future__ import annotations

from pathlib import Path

from features.errors import NotReady

from .config import RecordsConfig
from .database import Database


def open_database(workspace: Path, config: RecordsConfig) -> Database:
    """The database of the records of a workspace; nothing is read yet.

    Raises
    ------
    NotReady : when there is no such workspace
    BadConfiguration : when `config.database` is not the URL of a PostgreSQL database
    """
    if not workspace.is_dir():
        raise NotReady(f"there is no workspace {workspace}: `nextproduct build` makes one")
    if not config.database:
        from .sqlite import DATABASE, SQLite

        return SQLite(workspace / DATABASE, config.commit_timeout)
    from .postgresql import PostgreSQL, url_of

    return PostgreSQL(url_of(config.database), config.commit_timeout)
