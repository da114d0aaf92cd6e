"""Brings the records of any earlier version of nextproduct to the table that this one knows.

A change of the table is a file in ``versions``, with a revision that follows the last, which ``tables.REVISION`` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ..tables import VERSION_TABLE, metadata


def known_revisions() -> list[str]:
    """Revisions that there are, the newest first."""
    return [script.revision for script in _scripts().walk_revisions()]


def upgrade(connection: Connection) -> None:
    """Take every step that is missing, in the transaction of `connection`."""
    scripts = _scripts()

    def steps(revision: Any, _: object) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE)
        environment.run_migrations()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))
