"""Writes the tables of an import aside and puts them in place in one step."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ...contracts import PRODUCTS
from ...errors import BadInput
from ...files import put_in_place
from ..tables import connect
from ..values import literal, quoted

IMPORT_FILE = "import.json"
"""Says what a folder of tables was imported from, and so that another import may replace it."""


@dataclass(frozen=True)
class Import:
    """An import at work.

    Attributes
    ----------
    connection : a DuckDB that keeps to its memory limit
    folder : where the tables are written
    scratch : room for temporary files
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path
    scratch: Path

    def write(self, path: str, query: str) -> None:
        """Write the rows of `query` to ``<path>.parquet`` below the folder."""
        file = self.folder / f"{path}.parquet"
        file.parent.mkdir(exist_ok=True)
        self.connection.execute(f"COPY ({query}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)")

    def write_products(self, rows: Sequence[tuple[str, str, str | None, str]]) -> None:
        """Write products, all retail, given as (product_id, name, name_zh, family)."""
        values = ", ".join(
            "(" + ", ".join("NULL" if cell is None else literal(cell) for cell in (*row, "retail")) + ")"
            for row in rows
        )
        columns = ", ".join(map(quoted, ("product_id", "name", "name_zh", "family", "customer_kind")))
        self.write(PRODUCTS.name, f"SELECT * FROM (VALUES {values}) t({columns})")


@contextmanager
def importing(importer: str, source: Path, target: Path, memory_limit: str = "1GB") -> Iterator[Import]:
    """Tables written within the context appear in `target` when it ends without an error, all at once.

    A previous import in `target` stays until then.

    Raises
    ------
    BadInput : when `target` holds something that no import made, or the data cannot be read
    """
    target = target.absolute()
    _refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.importing-", dir=target.parent))
    aside, replaced = scratch / "tables", scratch / "replaced"
    aside.mkdir()
    connection = connect(scratch, memory_limit, threads=2)
    try:
        yield Import(connection, aside, scratch)
        note = {"importer": importer, "source": str(source.absolute())}
        (aside / IMPORT_FILE).write_text(json.dumps(note, ensure_ascii=False, indent=2), encoding="utf-8")
        if target.exists():
            target.rename(replaced)
        put_in_place(aside, target)
    except duckdb.Error as error:
        raise BadInput(f"{source} cannot be imported: {error}") from error
    finally:
        connection.close()
        if replaced.exists() and not target.exists():  # interrupted between the two renames
            replaced.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_foreign(target: Path) -> None:
    if target.is_dir():
        if any(target.iterdir()) and not (target / IMPORT_FILE).is_file():
            raise BadInput(
                f"{target} is not empty and was not made by an import. Name another folder, or empty this one."
            )
    elif target.exists():
        raise BadInput(f"{target} is a file. Name a folder for the tables.")
