"""Finding a table's file in a folder and making it readable: compression, encoding, header."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import BadInput
from .values import literal, quoted

_CHUNK = 1 << 20
_PATTERNS = ("{}.parquet", "{}/*.parquet", "{}.csv", "{}.csv.gz")


@dataclass(frozen=True)
class Relation:
    """Something DuckDB can select from.

    Attributes
    ----------
    sql : a table expression
    description : the same for people
    paths : the files whose bytes are its content; none when only the engine knows
    is_csv : whether all columns are text because the file cannot say otherwise
    """

    sql: str
    description: str
    paths: tuple[Path, ...] = ()
    is_csv: bool = False


def places(name: str) -> str:
    """Where a table called `name` is looked for in a folder, for messages."""
    return ", ".join(pattern.format(name) for pattern in _PATTERNS)


def find_relation(folder: Path, name: str, scratch: Path) -> Relation | None:
    """The table `name` of `folder`, or None.

    `name` is a table's name or a file's. A CSV file in GB18030 is written anew, in UTF-8, into `scratch`.

    Raises
    ------
    BadInput : when several files could be the table, or a file cannot be read; the message names them
    """
    if name.endswith((".parquet", ".csv", ".csv.gz")):
        files = [folder / name] if (folder / name).is_file() else []
        found = {name: files} if files else {}
    else:
        found = {
            pattern.format(name): files for pattern in _PATTERNS if (files := _matching(folder, pattern.format(name)))
        }
    if not found:
        return None
    if len(found) > 1:
        raise BadInput(f"{folder} holds the table {name} more than once: {', '.join(found)}. Keep one of them.")
    files = next(iter(found.values()))
    if files[0].suffix == ".parquet":
        return parquet_relation(files)
    return _csv(files[0], scratch)


def _matching(folder: Path, pattern: str) -> list[Path]:
    parent, _, last = pattern.rpartition("/")
    return sorted(path for path in (folder / parent).glob(last) if path.is_file()) if (folder / parent).is_dir() else []


def parquet_relation(files: list[Path]) -> Relation:
    """The rows of all `files`, which are at least one."""
    names = ", ".join(path_literal(file) for file in files)
    # hive partitioning off: a folder named `year=2026` above the data is no column of it
    sql = f"read_parquet([{names}], union_by_name = true, hive_partitioning = false, binary_as_string = true)"
    description = str(files[0] if len(files) == 1 else files[0].parent)
    return Relation(sql, description, tuple(files))


def path_literal(path: Path) -> str:
    """`path` as a SQL string that DuckDB takes for this one file."""
    # DuckDB takes every path for a pattern: a bracket class of one character stands for that character
    return literal("".join(f"[{character}]" if character in "*?[" else character for character in str(path)))


def _csv(path: Path, scratch: Path) -> Relation:
    readable, encoding = _as_utf8(path, scratch)
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in _header(path, encoding))
    sql = (
        f"read_csv({path_literal(readable)}, columns = {{{columns}}}, header = true, auto_detect = false, "
        "delim = ',', quote = '\"', escape = '\"', hive_partitioning = false)"
    )
    return Relation(sql, str(path), (path,), is_csv=True)


def open_bytes(path: Path) -> BinaryIO:
    """`path` opened for reading, uncompressed on the way when its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def chunks_of(path: Path) -> Iterator[bytes]:
    """The bytes of `path`, uncompressed, a megabyte at a time.

    Raises
    ------
    BadInput : when the file cannot be read or its compression is damaged
    """
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (OSError, EOFError, zlib.error) as error:  # a damaged .gz raises any of them
        raise BadInput(f"{path} cannot be read: {error}. Copy it again from where it came.") from error


def first_undecodable(path: Path, encoding: str, copy: BinaryIO | None = None) -> int | None:
    """The offset of the first byte of `path` (uncompressed) that is not `encoding`; None when all are.

    What decodes is written to `copy` in UTF-8, if given. Memory does not grow with the file.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    consumed = 0
    pending = 0
    for chunk in _with_end(chunks_of(path)):
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return consumed - pending + error.start
        consumed += len(chunk)
        pending = len(decoder.getstate()[0])
        if copy is not None:
            copy.write(text.encode("utf-8"))
    return None


def _with_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


def _as_utf8(path: Path, scratch: Path) -> tuple[Path, str]:
    """A file with the text of `path` in UTF-8 (itself, when it is), and the encoding of `path`."""
    not_utf8 = first_undecodable(path, "utf-8")
    if not_utf8 is None:
        return path, "utf-8-sig"
    copy_path = scratch / f"{path.name.split('.')[0]}-{len(list(scratch.iterdir()))}.csv"
    with copy_path.open("wb") as copy:
        not_gb18030 = first_undecodable(path, "gb18030", copy)
    if not_gb18030 is None:
        return copy_path, "gb18030"
    copy_path.unlink()
    raise BadInput(
        f"{path} is neither UTF-8 (byte {not_utf8} is wrong) nor GB18030 (byte {not_gb18030} is wrong). "
        "Save it as UTF-8."
    )


def _header(path: Path, encoding: str) -> list[str]:
    names = header_of(path, encoding)
    lower = [name.lower() for name in names]
    for number, name in enumerate(lower, start=1):
        if not name:
            raise BadInput(f"{path}: column {number} has no name in the first line. Name it or remove it.")
        if lower.index(name) != number - 1:
            raise BadInput(f"{path}: the column {names[number - 1]} is named twice in the first line. Remove one.")
    return names


def header_of(path: Path, encoding: str) -> list[str]:
    """The column names in the first line of a CSV file.

    Raises
    ------
    BadInput : when the file is empty
    """
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        names = [name.strip().removeprefix("\ufeff") for name in next(csv.reader(text), [])]
    if not names:
        raise BadInput(f"{path} is empty. Its first line has to name the columns.")
    return names
