"""How a value as a bank wrote it becomes a value of the contract: SQL expressions, one per type.

Every function takes a SQL expression and its DuckDB type and gives a SQL expression that never raises: what cannot be
read becomes NULL, and `present_sql` tells the checks whether there was something to read.
"""

from ..contracts import Type

SQL_TYPES: dict[Type, str] = {
    Type.ID: "VARCHAR",
    Type.TEXT: "VARCHAR",
    Type.DATE: "DATE",
    Type.PERIOD: "DATE",
    Type.NUMBER: "DOUBLE",
    Type.INTEGER: "BIGINT",
    Type.FLAG: "BOOLEAN",
    Type.MOMENT: "TIMESTAMP",
    Type.LIST: "VARCHAR[]",
}
"""The DuckDB type of each contract type in a typed view."""

READABLE: dict[Type, str] = {
    Type.ID: "an id",
    Type.TEXT: "a text",
    Type.DATE: "a date written YYYY-MM-DD, YYYY/MM/DD or YYYYMMDD",
    Type.PERIOD: "a date, or a month written YYYY-MM or YYYYMM",
    Type.NUMBER: "a number with a decimal point and no thousands separators",
    Type.INTEGER: "a whole number",
    Type.FLAG: "true/false, 1/0, Y/N or 是/否",
    Type.MOMENT: "a date and time written YYYY-MM-DD HH:MM:SS",
    Type.LIST: "product ids separated by ';'",
}
"""What a value of each type has to look like, for messages."""

_BLANKS = "' \t\n\r\xa0\u3000'"  # the last two: the space that does not break and the full-width space
_WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FRACTIONS = ("FLOAT", "DOUBLE")
_EXACT_DOUBLE = 2**53


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def is_number(sql_type: str) -> bool:
    """Whether a DuckDB type holds numbers (truth values do not count)."""
    return sql_type in _WHOLE_NUMBERS or sql_type in _FRACTIONS or sql_type.startswith("DECIMAL")


def text_sql(value: str, sql_type: str) -> str:
    """`value` as trimmed text, NULL when blank; a whole number has no decimals, so id 123.0 is '123'."""
    if sql_type in _FRACTIONS:
        whole = f"{value} = trunc({value}) AND abs({value}) <= {_EXACT_DOUBLE}"
        return (
            f"CASE WHEN isnan({value}) THEN NULL WHEN {whole} THEN CAST(CAST({value} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({value} AS VARCHAR) END"
        )
    if sql_type.startswith("DECIMAL") and not sql_type.endswith(",0)"):
        return f"rtrim(rtrim(CAST({value} AS VARCHAR), '0'), '.')"
    text = value if sql_type == "VARCHAR" else f"CAST({value} AS VARCHAR)"
    return f"nullif(trim({text}, {_BLANKS}), '')"


def present_sql(value: str, sql_type: str) -> str:
    """Whether `value` says anything: not NULL, not blank, not NaN, not an empty list."""
    if sql_type.endswith("[]"):
        return f"coalesce(len({value}) > 0, false)"
    return f"({text_sql(value, sql_type)} IS NOT NULL)"


def typed_sql(value: str, sql_type: str, wanted: Type) -> str:
    """`value` read as type `wanted`; NULL when absent or unreadable."""
    text = text_sql(value, sql_type)
    if wanted in (Type.ID, Type.TEXT):
        return text
    if wanted in (Type.DATE, Type.PERIOD):
        if sql_type == "DATE":
            return value
        if sql_type.startswith("TIMESTAMP"):
            return f"CAST({value} AS DATE)"
        return _date_sql(text, months=wanted is Type.PERIOD)
    if wanted is Type.NUMBER:
        return _number_sql(value, sql_type, text)
    if wanted is Type.INTEGER:
        if sql_type in _WHOLE_NUMBERS:
            return f"TRY_CAST({value} AS BIGINT)"
        number = _number_sql(value, sql_type, text)
        # a cast alone would round 12.5 to a whole number
        return f"CASE WHEN {number} = trunc({number}) THEN TRY_CAST({number} AS BIGINT) END"
    if wanted is Type.FLAG:
        return value if sql_type == "BOOLEAN" else _flag_sql(text)
    if wanted is Type.MOMENT:
        return f"TRY_CAST({value if sql_type != 'VARCHAR' else _with_dashes(text)} AS TIMESTAMP)"
    return _list_sql(value, sql_type, text)


def _number_sql(value: str, sql_type: str, text: str) -> str:
    number = f"TRY_CAST({value if is_number(sql_type) else text} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _date_sql(text: str, months: bool) -> str:
    dashed = _with_dashes(text)
    cases = [
        f"WHEN {text}[1] = '-' THEN NULL",  # '-024-01-01' would be a day before Christ
        f"WHEN length({text}) = 10 THEN TRY_CAST({dashed} AS DATE)",
        f"WHEN length({text}) = 8 THEN {_date_of_digits(text)}",
    ]
    if months:
        month_and_first = f"({text} || '01')"
        cases += [
            f"WHEN length({text}) = 7 THEN TRY_CAST({dashed} || '-01' AS DATE)",
            f"WHEN length({text}) = 6 THEN {_date_of_digits(month_and_first)}",
        ]
    return f"CASE {' '.join(cases)} END"


def _date_of_digits(text: str) -> str:
    return f"TRY_CAST({text}[1:4] || '-' || {text}[5:6] || '-' || {text}[7:8] AS DATE)"


def _with_dashes(text: str) -> str:
    return f"replace({text}, '/', '-')"


def _flag_sql(text: str) -> str:
    yes, no = "('true', '1', 'y', '是')", "('false', '0', 'n', '否')"
    return f"CASE WHEN lower({text}) IN {yes} THEN true WHEN lower({text}) IN {no} THEN false END"


def _list_sql(value: str, sql_type: str, text: str) -> str:
    values = f"CAST({value} AS VARCHAR[])" if sql_type.endswith("[]") else f"string_split({text}, ';')"
    return (
        f"nullif(list_filter(list_transform({values}, lambda x: trim(x, {_BLANKS})), lambda x: x <> ''), "
        "CAST([] AS VARCHAR[]))"
    )
