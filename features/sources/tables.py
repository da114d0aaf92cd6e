"""A bank's tables behind the contract's names: a folder, a database file or table expressions, as DuckDB views.

Nothing is copied: every table is a view over the bank's own file, so memory does not grow with the tables.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType

import duckdb

from ..contracts import CUSTOMERS, TABLES, Column, Table, Type
from ..errors import BadConfiguration, BadInput
from .files import Relation, find_relation, places
from .mapping import MAPPING_FILE, Mapping, TableMapping, read_mapping
from .values import SQL_TYPES, is_number, literal, present_sql, quoted, text_sql, typed_sql

_DATABASE = "bank"  # the name under which a database file is attached
_DATABASE_SUFFIXES = (".duckdb", ".db")
_PLAIN_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")


@dataclass(frozen=True)
class Attribute:
    """A column of customers that the contract does not know: the models may use it."""

    name: str
    is_number: bool


@dataclass
class BankTables:
    """The tables of a bank, open for reading; a context manager.

    `connection` has for each table of the contract a view of the same name with every column of the contract in its
    type (NULL where absent or unreadable; no rows where the table is absent), and for each table that is present a view
    ``raw_<table>`` with the columns that are there, named as in the contract, their values as found. CSV columns are
    text in the latter. The view of customers ends with its attributes, numbers or texts.

    Attributes
    ----------
    connection : where the views are; temporary files go to a folder that disappears on `close`
    source : the folder or database file
    present : names of the tables that are there
    attributes : the columns of customers that are not in the contract
    raw_types : table -> column -> its DuckDB type in ``raw_<table>``; only present tables
    """

    connection: duckdb.DuckDBPyConnection
    source: Path
    present: frozenset[str] = frozenset()
    attributes: tuple[Attribute, ...] = ()
    raw_types: dict[str, dict[str, str]] = field(default_factory=dict)
    _relations: dict[str, Relation] = field(default_factory=dict, repr=False)
    _mapping: Mapping = field(default_factory=Mapping, repr=False)
    _mapping_path: Path | None = field(default=None, repr=False)
    _scratch: Path = field(default_factory=Path, repr=False)

    @classmethod
    def open(
        cls, source: Path, mapping: Path | None = None, *, memory_limit: str = "4GB", threads: int = 2
    ) -> BankTables:
        """Open the tables of `source`, a folder or a DuckDB database file (``.duckdb``, ``.db``).

        A folder holds each table as ``<table>.parquet``, ``<table>/*.parquet``, ``<table>.csv`` or ``<table>.csv.gz``
        (UTF-8 with or without byte order mark, or GB18030). `mapping` defaults to ``mapping.yaml`` in the folder, or
        beside the database file, if there is one.

        Raises
        ------
        BadInput : when a needed table or column is missing or a file cannot be read
        BadConfiguration : when the mapping does not fit
        """
        source = Path(source).absolute()
        if not source.exists():
            raise BadInput(f"There is no {source}. Name a folder of tables or a DuckDB database file.")
        beside = (source if source.is_dir() else source.parent) / MAPPING_FILE
        mapping_path = mapping.absolute() if mapping is not None else beside if beside.exists() else None
        content = read_mapping(mapping_path) if mapping_path is not None else Mapping()
        scratch = Path(tempfile.mkdtemp(prefix="nextproduct-"))
        connection = connect(scratch, memory_limit, threads)
        tables = cls(connection, source, _mapping=content, _mapping_path=mapping_path, _scratch=scratch)
        try:
            tables._open()
        except BaseException:
            tables.close()
            raise
        return tables

    def close(self) -> None:
        """Let go of the tables and remove temporary files."""
        self.connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> BankTables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, with what the engine cannot read reported as BadInput."""
        try:
            yield self.connection
        except duckdb.Error as error:
            raise BadInput(f"The tables of {self.source} cannot be read: {_shortened(error)}") from error

    def fingerprints(self) -> dict[str, str]:
        """Table -> SHA-256 of its content: the bytes of its files and its mapping.

        The rows of a table expression are hashed in no particular order, as its files are not known.
        """
        return dict(self._fingerprints)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {name: self._fingerprint(name) for name in sorted(self.present)}

    def _fingerprint(self, name: str) -> str:
        relation = self._relations[name]
        digest = hashlib.sha256()
        mapped = self._mapping.of(name)
        if mapped != TableMapping():
            digest.update(mapped.model_dump_json().encode())
        for path in relation.paths:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        if not relation.paths:
            with self.reading() as connection:
                # each row's hash counts by its sum: the order of rows is the engine's business
                query = f"SELECT count(*), sum(CAST(hash(t) AS HUGEINT)) FROM raw_{name} t"
                rows = connection.execute(query).fetchall()
            digest.update(repr(rows).encode())
        return digest.hexdigest()

    # ------------------------------------------------------------------------------------------------ opening

    def _open(self) -> None:
        if self.source.is_file():
            self._attach()
        for table in TABLES.values():
            relation = self._locate(table)
            if relation is None:
                _create_empty_view(self.connection, table)
                continue
            self._relations[table.name] = relation
            self._create_raw_view(table, relation)
            if table is CUSTOMERS:
                self.attributes = self._find_attributes(relation)
            self._create_typed_view(table)
        self.present = frozenset(self._relations)

    def _attach(self) -> None:
        if self.source.suffix not in _DATABASE_SUFFIXES:
            raise BadInput(
                f"{self.source} is neither a folder nor a DuckDB database ({', '.join(_DATABASE_SUFFIXES)}). "
                "Put the tables into a folder, one file each, and name the folder."
            )
        try:
            self.connection.execute(f"ATTACH {literal(str(self.source))} AS {_DATABASE} (READ_ONLY)")
        except duckdb.Error as error:
            raise BadInput(f"The database {self.source} cannot be opened: {error}") from error

    def _locate(self, table: Table) -> Relation | None:
        origin = self._mapping.of(table.name).origin
        name = origin or table.name
        relation = self._in_database(name) if self.source.is_file() else find_relation(self.source, name, self._scratch)
        if relation is None and origin is not None and not _PLAIN_NAME.fullmatch(origin):
            relation = self._expression(table, origin)
        if relation is None and (table.required or origin is not None):
            where = "its tables" if self.source.is_file() else places(name)
            raise BadInput(
                f"The table {table.name} is missing in {self.source} (looked for {name}: {where}). Add it, or say in "
                f"{MAPPING_FILE} which of your tables it is: tables: {{{table.name}: {{from: YOUR_TABLE}}}}."
            )
        return relation

    def _in_database(self, name: str) -> Relation | None:
        schema, _, last = name.rpartition(".")
        found = self.connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = ? "
            "AND lower(table_name) = lower(?) AND lower(table_schema) = lower(?)",
            [_DATABASE, last, schema or "main"],
        ).fetchall()
        if not found:
            return None
        sql = ".".join(map(quoted, (_DATABASE, *found[0])))
        return Relation(sql, f"{self.source}, table {name}", (self.source,))

    def _expression(self, table: Table, origin: str) -> Relation:
        assert self._mapping_path is not None
        relation = Relation(_with_absolute_paths(origin, self._mapping_path.parent), origin)
        try:
            self.connection.execute(f"DESCRIBE SELECT * FROM {relation.sql}").fetchall()
        except duckdb.Error as error:
            raise BadConfiguration(
                f"The mapping file {self._mapping_path}: tables.{table.name}.from is no table expression that can be "
                f"read here: {error}"
            ) from error
        return relation

    def _create_raw_view(self, table: Table, relation: Relation) -> None:
        mapped = self._mapping.of(table.name)
        found = dict(_describe(self.connection, f"SELECT * FROM {relation.sql}", relation))
        theirs = {name.lower(): name for name in found}
        wanted = {**{name: mapped.columns.get(name, name) for name in table.column_names}, **mapped.columns}
        selected: dict[str, str] = {}
        for ours, their in wanted.items():
            if their.lower() in theirs:
                selected[ours] = theirs[their.lower()]
            elif ours in mapped.columns or _is_required(table, ours):
                raise BadInput(
                    f"The column {ours} of {table.name} is missing: {relation.description} has no column {their} (it "
                    f"has {', '.join(found)}). Add it, or name yours in {MAPPING_FILE}: tables: {{{table.name}: "
                    f"{{columns: {{{ours}: YOUR_COLUMN}}}}}}."
                )
        if table.open_ended:
            taken = {*selected.values(), *(name for name in found if name.lower() in {ours.lower() for ours in wanted})}
            selected.update({name: name for name in found if name not in taken})
        expressions = ", ".join(
            f"{_mapped_value(quoted(their), found[their], mapped.values.get(ours))} AS {quoted(ours)}"
            for ours, their in selected.items()
        )
        view = f"SELECT {expressions} FROM {relation.sql}"
        self.connection.execute(f"CREATE VIEW raw_{table.name} AS {view}")
        self.raw_types[table.name] = dict(_describe(self.connection, view, relation))

    def _find_attributes(self, relation: Relation) -> tuple[Attribute, ...]:
        types = self.raw_types[CUSTOMERS.name]
        names = [name for name in types if name not in CUSTOMERS.column_names]
        if not relation.is_csv:
            return tuple(Attribute(name, is_number(types[name])) for name in names)
        if not names:
            return ()
        counts = [
            (f"count({text_sql(column, type_)})", f"count({typed_sql(column, type_, Type.NUMBER)})")
            for column, type_ in ((quoted(name), types[name]) for name in names)
        ]
        tests = ", ".join(f"{filled} > 0 AND {filled} = {numbers}" for filled, numbers in counts)
        with self.reading() as connection:
            (numbers,) = connection.execute(f"SELECT {tests} FROM raw_{CUSTOMERS.name}").fetchall()
        return tuple(Attribute(name, bool(number)) for name, number in zip(names, numbers, strict=True))

    def _create_typed_view(self, table: Table) -> None:
        columns = [f"{self.typed_expression(table.name, column)} AS {quoted(column.name)}" for column in table.columns]
        if table is CUSTOMERS:
            columns += [
                f"{self.typed_expression(table.name, _column_of(attribute))} AS {quoted(attribute.name)}"
                for attribute in self.attributes
            ]
        self.connection.execute(f"CREATE VIEW {table.name} AS SELECT {', '.join(columns)} FROM raw_{table.name}")

    # ------------------------------------------------------------------------------------------------ for checks

    def typed_expression(self, table: str, column: Column) -> str:
        """SQL over ``raw_<table>`` for the value of `column` in its type."""
        sql_type = self.raw_types[table].get(column.name)
        if sql_type is None:
            return f"CAST(NULL AS {SQL_TYPES[column.type]})"
        return f"CAST({typed_sql(quoted(column.name), sql_type, column.type)} AS {SQL_TYPES[column.type]})"

    def present_expression(self, table: str, column: Column) -> str:
        """SQL over ``raw_<table>`` for whether `column` says anything, readable or not."""
        sql_type = self.raw_types[table].get(column.name)
        return "false" if sql_type is None else present_sql(quoted(column.name), sql_type)

    def columns_of(self, table: Table) -> tuple[Column, ...]:
        """The columns that are there: those of the contract, then the attributes of customers."""
        known = tuple(column for column in table.columns if column.name in self.raw_types.get(table.name, {}))
        return known + (tuple(map(_column_of, self.attributes)) if table is CUSTOMERS else ())


def connect(scratch: Path, memory_limit: str, threads: int) -> duckdb.DuckDBPyConnection:
    """An empty DuckDB that keeps to `memory_limit` by spilling into `scratch` and calls no network."""
    return duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": str(threads),
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "TimeZone": "UTC",
        }
    )


def _shortened(error: duckdb.Error) -> str:
    """What went wrong and in which line; the engine goes on to repeat the line and all of its settings."""
    return " ".join(line[:200] for line in str(error).splitlines()[:3])


def _column_of(attribute: Attribute) -> Column:
    return Column(attribute.name, Type.NUMBER if attribute.is_number else Type.TEXT)


def _is_required(table: Table, name: str) -> bool:
    return any(column.required for column in table.columns if column.name == name)


def _describe(connection: duckdb.DuckDBPyConnection, query: str, relation: Relation) -> list[tuple[str, str]]:
    try:
        return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {query}").fetchall()]
    except duckdb.Error as error:
        raise BadInput(f"{relation.description} cannot be read: {_shortened(error)}") from error


def _mapped_value(value: str, sql_type: str, values: dict[str, str] | None) -> str:
    if not values:
        return value
    text = text_sql(value, sql_type)
    cases = " ".join(f"WHEN {literal(theirs)} THEN {literal(ours)}" for theirs, ours in values.items())
    return f"CASE {text} {cases} ELSE {text} END"


def _with_absolute_paths(expression: str, folder: Path) -> str:
    """`expression` with every quoted text that names files below `folder` made absolute."""

    def absolute(match: re.Match[str]) -> str:
        path = match.group(1).replace("''", "'")
        names_files = any(sign in path for sign in "./*") and not Path(path).is_absolute()
        return literal(str(folder / path)) if names_files and any(folder.glob(path)) else match.group(0)

    return re.sub(r"'((?:[^']|'')*)'", absolute, expression)


def _create_empty_view(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    columns = ", ".join(f"CAST(NULL AS {SQL_TYPES[column.type]}) AS {quoted(column.name)}" for column in table.columns)
    connection.execute(f"CREATE VIEW {table.name} AS SELECT {columns} WHERE false")
