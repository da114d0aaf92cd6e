"""The mapping file: which of a bank's own tables, columns and values stand for those of the contract.

```yaml
tables:
  accounts:
    from: T_ACCT                       # a file or table of the source, or any table expression of DuckDB
    columns: {customer_id: CUST_NO, product_id: PROD_CD}
  products:
    values: {customer_kind: {个人: retail, 对公: corporate}}
```

`columns` reads "ours: theirs"; `values` reads "theirs: ours", where '' stands for no value.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..contracts import TABLES
from ..errors import BadConfiguration

MAPPING_FILE = "mapping.yaml"
"""The mapping that is used without being named: the one beside the data."""


class TableMapping(BaseModel):
    """Where one table of the contract comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    origin: str | None = Field(default=None, alias="from", min_length=1)
    """The bank's name of the table, a file, or a table expression in DuckDB's SQL; default: the contract's name."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Contract column -> the bank's column."""
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Contract column -> the bank's value -> the contract's value."""


class Mapping(BaseModel):
    """All of a mapping file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tables: dict[str, TableMapping] = Field(default_factory=dict)

    def of(self, table: str) -> TableMapping:
        """The mapping of `table`; one that changes nothing when the file does not mention it."""
        return self.tables.get(table, TableMapping())


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises
    ------
    BadConfiguration : when there is no such file, it is not YAML, or it has a table, key or column that may not be
        there; the message names file and key
    """
    try:
        # every scalar as the text it is: otherwise YAML reads `01` as 1 and `yes` as true, and no value would match
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise BadConfiguration(f"The mapping file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadConfiguration(
            f"The mapping file {path} is not UTF-8 (byte {error.start}). Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        raise BadConfiguration(f"The mapping file {path} is not valid YAML: {error}") from error
    try:
        mapping = Mapping.model_validate(content or {})
    except ValidationError as error:
        raise BadConfiguration(f"The mapping file {path}: {_first_problem(error)}") from error
    for name, table in mapping.tables.items():
        _check_names(path, name, table)
    return mapping


def _first_problem(error: ValidationError) -> str:
    problem: Any = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "the whole file"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(["from", "columns", "values"] if problem["loc"][0] == "tables" else ["tables"])
        return f"unknown key {key}; known here: {known}."
    return f"{key}: {problem['msg']}."


def _check_names(path: Path, name: str, table: TableMapping) -> None:
    contract = TABLES.get(name)
    if contract is None:
        raise BadConfiguration(f"The mapping file {path}: unknown table tables.{name}; known: {', '.join(TABLES)}.")
    if contract.open_ended:  # other names are attributes
        return
    for section, keys in (("columns", table.columns), ("values", table.values)):
        for column in keys:
            if column not in contract.column_names:
                raise BadConfiguration(
                    f"The mapping file {path}: unknown column tables.{name}.{section}.{column}; "
                    f"{name} has {', '.join(contract.column_names)}."
                )
