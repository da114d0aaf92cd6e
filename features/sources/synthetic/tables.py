"""The part files of a block's tables, in the contract's columns and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...contracts import TABLES, Type

ATTRIBUTES: tuple[tuple[str, pa.DataType], ...] = (
    ("life_stage", pa.string()),
    ("occupation", pa.string()),
    ("industry", pa.string()),
    ("channel_preference", pa.string()),
    ("employees", pa.float64()),
)
"""Columns of customers beyond the contract's."""

_ROWS_A_GROUP = 400_000

_TYPES = {
    Type.ID: pa.string(),
    Type.TEXT: pa.string(),
    Type.DATE: pa.date32(),
    Type.PERIOD: pa.date32(),
    Type.NUMBER: pa.float64(),
    Type.INTEGER: pa.int64(),
    Type.FLAG: pa.bool_(),
    Type.LIST: pa.list_(pa.string()),
}


def schema_of(table: str) -> pa.Schema:
    """The Arrow schema of a contract table, the attributes of customers included."""
    fields = [pa.field(column.name, _TYPES[column.type]) for column in TABLES[table].columns]
    if TABLES[table].open_ended:
        fields += [pa.field(name, type_) for name, type_ in ATTRIBUTES]
    return pa.schema(fields)


class Labels:
    """Text that repeats, given by its position in a list of words."""

    def __init__(self, words: Sequence[str] | NDArray[np.str_]) -> None:
        self._words = pa.array(words, type=pa.string())

    def at(self, positions: NDArray, missing: NDArray[np.bool_] | None = None) -> pa.Array:
        """The words at `positions`, null where `missing`."""
        return pa.DictionaryArray.from_arrays(pa.array(positions.astype(np.int32), mask=missing), self._words)

    def only(self, position: int, length: int) -> pa.Array:
        """One word, `length` times."""
        return self.at(np.full(length, position))


def dates(days: NDArray, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Days from 1970-01-01 as dates, null where `missing`."""
    return pa.array(days.astype(np.int32), mask=missing).cast(pa.date32())


def numbers(values: NDArray, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers, null where `missing`."""
    return pa.array(values.astype(np.float64), mask=missing)


class TableParts:
    """Writes one part file of each table that gets rows, in row groups as they fill."""

    def __init__(self, folder: Path, part: int) -> None:
        self._folder = folder
        self._name = f"part-{part:05d}.parquet"
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {}

    def add(self, table: str, columns: Mapping[str, pa.Array]) -> None:
        """Add rows; contract columns that are not among `columns` are null."""
        length = len(next(iter(columns.values())))
        if length == 0:
            return
        schema = schema_of(table)
        arrays = [
            columns[name] if name in columns else pa.nulls(length, schema.field(name).type) for name in schema.names
        ]
        waiting = self._waiting.setdefault(table, [])
        waiting.append(pa.table(arrays, names=schema.names))
        if sum(rows.num_rows for rows in waiting) >= _ROWS_A_GROUP:
            self._write(table)

    def close(self) -> None:
        """Write what is left and finish the files."""
        for table in list(self._waiting):
            self._write(table)
        for writer in self._writers.values():
            writer.close()

    def _write(self, table: str) -> None:
        waiting = self._waiting.pop(table)
        rows = pa.concat_tables(waiting).unify_dictionaries().combine_chunks()
        if table not in self._writers:
            folder = self._folder / table
            folder.mkdir(parents=True, exist_ok=True)
            # without Arrow's own schema in the file, repeated text is read back as plain text
            self._writers[table] = pq.ParquetWriter(
                folder / self._name, rows.schema, compression="zstd", store_schema=False
            )
        self._writers[table].write_table(rows, row_group_size=len(rows))
