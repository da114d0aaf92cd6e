"""Reads the CSV files of public data sets: every column as text, by name."""

from pathlib import Path

from ...errors import BadInput
from ..files import first_undecodable, header_of, path_literal
from ..values import quoted


def csv_relation(path: Path, columns: tuple[str, ...]) -> str:
    """A DuckDB table expression for `path`, UTF-8 or Latin-1, plain or ``.gz``; it is read as a stream.

    Raises
    ------
    BadInput : when there is no such file or one of `columns` is missing
    """
    if not path.is_file():
        raise BadInput(f"There is no file {path}. The data set's README says where it comes from.")
    is_utf8 = first_undecodable(path, "utf-8") is None
    names = header_of(path, "utf-8-sig" if is_utf8 else "latin-1")
    missing = [column for column in columns if column not in names]
    if missing:
        raise BadInput(f"{path} has no column {', '.join(missing)}. Is it the file this importer reads?")
    types = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({path_literal(path)}, columns = {{{types}}}, header = true, auto_detect = false, delim = ',', "
        f"quote = '\"', escape = '\"', encoding = '{'utf-8' if is_utf8 else 'latin-1'}')"
    )


def file_in(folder: Path, name: str) -> Path:
    """The file `name` of a data set's folder.

    Raises
    ------
    BadInput : when it is not there
    """
    path = folder / name
    if not path.is_file():
        raise BadInput(f"{folder} holds no {name}. Name the folder of the data set.")
    return path
