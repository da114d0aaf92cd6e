"""The one table of the records."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

VERSION_TABLE = "records_version"
"""Where the revision of the table stands."""

REVISION = "0001"
"""The revision that this code reads and writes."""

metadata = MetaData()

# the payload comes last: the rest of a row is read without it
entries = Table(
    "entries",
    metadata,
    # in SQLite only INTEGER is the row's own number
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("entry_id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    # compared as text: no language's order may part the digits
    Column("at", Text().with_variant(Text(collation="C"), "postgresql"), nullable=False),
    Column("customer_id", Text),
    Column("salt", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("payload", LargeBinary),
    Index("entries_of_customer", "customer_id", "kind", "seq"),
)
