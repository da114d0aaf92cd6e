"""The table is the same however it came about, and is never made twice or by two."""

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from features.errors import BadConfiguration, NotReady
from serving.records import verify
from serving.records.migrations import known_revisions
from serving.records.tables import REVISION, VERSION_TABLE, entries, metadata
from tests.serving.records.places import decision, every_entry


def test_steps_lead_to_the_table_that_the_code_knows(place):
    with place.opened():
        pass
    with place.tampering() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        assert set(sqlalchemy.inspect(connection).get_table_names()) == {entries.name, VERSION_TABLE}


def test_they_make_what_the_code_would_make(place):
    """Down to the text of what is indexed and in which order times compare."""
    with place.opened():
        pass
    with place.tampering() as connection:
        made = columns_of(connection)
        connection.exec_driver_sql("DROP TABLE entries")
        metadata.create_all(connection)
        assert made == columns_of(connection)


def columns_of(connection):
    inspector = sqlalchemy.inspect(connection)
    return (
        [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns("entries")],
        inspector.get_pk_constraint("entries")["constrained_columns"],
        [(index["name"], index["column_names"]) for index in inspector.get_indexes("entries")],
        [constraint["column_names"] for constraint in inspector.get_unique_constraints("entries")],
    )


def test_the_revision_of_the_code_is_the_newest_step():
    assert known_revisions()[0] == REVISION


def test_opening_again_changes_nothing(place):
    for count in (1, 2):
        with place.opened() as records:
            records.append_now([decision()])
            assert len(every_entry(records)) == count


@pytest.mark.parametrize("writable", [True, False])
def test_records_of_a_newer_version_are_refused(place, writable):
    with place.opened() as records:
        records.append_now([decision()])
    with place.tampering() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with (
        pytest.raises(NotReady, match=r"revision 9999.*install the version that wrote"),
        place.opened(writable=writable),
    ):
        pass


def test_a_table_of_somebody_else_is_left_alone(place):
    with place.tampering() as connection:
        connection.exec_driver_sql("CREATE TABLE entries (id INTEGER)")
    with pytest.raises(BadConfiguration, match="give the records a database of their own"), place.opened():
        pass
    with place.tampering() as connection:
        assert [column["name"] for column in sqlalchemy.inspect(connection).get_columns("entries")] == ["id"]


def test_several_processes_that_start_at_once_make_it_once(place):
    children = [place.child("refuse", 3, 1) for _ in range(3)]
    ended = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * 3, ended
    with place.opened(writable=False) as records:
        assert verify(records).entries == 9
        assert verify(records).is_sound
