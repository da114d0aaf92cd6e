"""Whatever is tampered with is found."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from features.errors import BadInput
from serving.records import Anchor, Entry, erase, new_entry_id, verify
from serving.records.chain import chain_of, digest_of
from serving.records.verification import MOST_PROBLEMS
from tests.serving.records.places import decision, event, every_entry

COUNT = 9
COLUMNS = ("entry_id", "kind", "at", "customer_id", "salt", "digest", "chain", "payload")
BLOBS = ("salt", "digest", "chain", "payload")


@pytest.fixture
def filled(place):
    """Nine entries: five of C1 that are erased, three others, and the erasure."""
    with place.opened() as records:
        records.append_now([decision("C1"), event("C1"), decision("C2"), decision("C1"), event("C1"), decision("C1")])
        records.append_now([Entry("deployment", new_entry_id(), None, b"{}"), event("C3")])
        erase(records, "C1", reason="asked", by="test")
        assert verify(records).is_sound
        yield records


def change(place, statement, **values):
    with place.tampering() as connection:
        connection.execute(text(statement), values)


def problems(records, anchor=None):
    found = verify(records, anchor=anchor)
    assert found.problem_count == len(found.problems)
    assert found.is_sound == (not found.problems)
    return found.problems


def row_of(place, seq):
    with place.tampering() as connection:
        return connection.execute(text("SELECT * FROM entries WHERE seq = :seq"), {"seq": seq}).one()._asdict()


class TestAnyCell:
    def test_a_change_of_a_single_cell_is_found(self, place, filled):
        """Any column of any entry, erased or not, to anything else that it can hold."""
        blobs = st.binary(max_size=40)
        texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
        known = st.sampled_from(["decision", "event", "erasure", "retention", "C1", "C2", "C3"])

        @settings(max_examples=80, deadline=None)
        @given(st.integers(1, COUNT), st.sampled_from(COLUMNS), st.data())
        def tamper(seq, column, data):
            before = row_of(place, seq)[column]
            may_be_empty = column in ("customer_id", "salt", "payload")
            values = blobs if column in BLOBS else known | texts
            after = data.draw(values | st.none() if may_be_empty else values)
            assume(after != before)
            change(place, f"UPDATE entries SET {column} = :value WHERE seq = :seq", value=after, seq=seq)
            try:
                assert any(f"entry {seq}:" in problem for problem in problems(filled)), problems(filled)
            finally:
                change(place, f"UPDATE entries SET {column} = :value WHERE seq = :seq", value=before, seq=seq)

        tamper()
        assert problems(filled) == ()

    @pytest.mark.parametrize("seq", [1, 3, COUNT])
    @pytest.mark.parametrize("bit", [0, 7, 255])
    def test_one_bit_of_a_link_is_blamed_on_its_entry_alone(self, place, filled, seq, bit):
        chain = int.from_bytes(row_of(place, seq)["chain"]) ^ (1 << bit)
        change(place, "UPDATE entries SET chain = :chain WHERE seq = :seq", chain=chain.to_bytes(32), seq=seq)
        assert problems(filled) == (
            f"entry {seq}: id, kind, time, digest or link was changed, or the entry was put in or moved",
        )

    def test_values_of_other_types_are_found(self, sqlite):
        """SQLite keeps whatever it is given."""
        with sqlite.opened() as records:
            records.append_now([event("C1"), event("C2")])
            for column in COLUMNS:
                before = row_of(sqlite, 1)[column]
                wrong = ["x'6576656e74'", "7", "CAST(x'ff' AS TEXT)", "1.5"]
                if column in BLOBS:
                    wrong.append(f"CAST(x'{before.hex()}' AS TEXT)")
                else:
                    wrong.append(f"CAST({column} AS BLOB)")
                for value in wrong:
                    change(sqlite, f"UPDATE entries SET {column} = {value} WHERE seq = 1")
                    assert problems(records), (column, value)
                    change(sqlite, f"UPDATE entries SET {column} = :before WHERE seq = 1", before=before)
            assert problems(records) == ()


class TestRows:
    @pytest.mark.parametrize(("first", "last", "said"), [(1, 1, "entry 1 is"), (2, 4, "entries 2 to 4 are")])
    def test_missing_entries_are_named(self, place, filled, first, last, said):
        change(place, "DELETE FROM entries WHERE seq BETWEEN :first AND :last", first=first, last=last)
        assert f"{said} missing" in problems(filled)

    def test_entries_that_changed_places_are_found(self, place, filled):
        change(place, "UPDATE entries SET seq = -1 WHERE seq = 3")
        change(place, "UPDATE entries SET seq = 3 WHERE seq = 7")
        change(place, "UPDATE entries SET seq = 7 WHERE seq = -1")
        found = problems(filled)
        assert {problem.partition(":")[0] for problem in found} >= {"entry 3", "entry 7"}

    def test_an_entry_before_the_first_is_found(self, place, filled):
        row = row_of(place, 3) | {"seq": 0, "entry_id": "forged"}
        insert(place, row)
        assert "entry 0: the first entry is 1, this was put in" in problems(filled)

    def test_an_entry_put_in_is_found_even_with_a_link_of_its_own(self, place, filled):
        """Those after it move up by one."""
        change(place, "UPDATE entries SET seq = -seq - 1 WHERE seq >= 7")
        change(place, "UPDATE entries SET seq = -seq WHERE seq < 0")
        insert(place, forged(row_of(place, 6)))
        found = problems(filled)
        assert {"entry 8", "entry 9", "entry 10"} <= {problem.partition(":")[0] for problem in found}

    def test_many_problems_are_counted(self, sqlite):
        with sqlite.opened() as records:
            records.append_now([decision() for _ in range(300)])
            change(sqlite, "UPDATE entries SET payload = :payload", payload=b"other")
            found = verify(records)
            assert (found.problem_count, len(found.problems), found.is_sound) == (300, MOST_PROBLEMS, False)


class TestAnchor:
    def test_an_end_that_was_cut_off(self, place):
        with place.opened() as records:
            records.append_now([decision() for _ in range(5)])
            noted = records.head
            change(place, "DELETE FROM entries WHERE seq > 3")
            assert problems(records) == ()  # what is left is a chain of its own
            assert problems(records, noted) == ("the anchor names entry 5, but the last one is 3: the end was cut off",)

    def test_a_chain_written_anew(self, place):
        """With hashes that fit: only what was noted elsewhere tells."""
        with place.opened() as records:
            records.append_now([decision() for _ in range(3)])
            noted = records.head
            records.append_now([decision()])
            assert problems(records, noted) == ()
            change(place, "DELETE FROM entries WHERE seq > 2")
            insert(place, forged(row_of(place, 2)))
            assert problems(records) == ()
            assert problems(records, noted) == (
                "entry 3: its link is not the one noted in the anchor: the chain was written anew",
            )

    def test_the_beginning_is_always_right(self, place):
        with place.opened() as records:
            assert problems(records, Anchor(0, bytes(32))) == ()
            assert str(verify(records).head) == f"0:{'0' * 64}"


class TestSince:
    """From a head noted earlier, somewhere else."""

    @pytest.fixture
    def grown(self, place):
        """Four entries before what was noted and three after; the last one, an erasure, empties some of either."""
        with place.opened() as records:
            records.append_now([decision("C1"), decision("C2"), decision("C1"), decision("C3")])
            noted = records.head
            records.append_now([decision("C1"), decision("C2")])
            erase(records, "C1", reason="asked", by="test")
            yield records, noted

    def test_only_what_came_after_is_looked_at(self, place, grown):
        records, noted = grown
        found = verify(records, since=noted)
        assert (found.problems, found.entries, found.since) == ((), 3, noted)
        assert found.head == verify(records).head
        change(place, "UPDATE entries SET payload = :payload WHERE seq = 2", payload=b"other")
        assert verify(records, since=noted).is_sound
        assert not verify(records).is_sound
        change(place, "UPDATE entries SET payload = :payload WHERE seq = 6", payload=b"other")
        assert verify(records, since=noted).problems == (
            "entry 6: customer, salt, payload or digest was changed",
        )  # fmt: skip

    def test_the_place_must_be_what_was_noted(self, place, grown):
        records, noted = grown
        assert verify(records, since=Anchor(4, bytes(32))).problems[0] == (
            "entry 4: its link is not the one noted: the chain was written anew"
        )
        assert not verify(records, since=Anchor(3, noted.chain)).is_sound
        assert verify(records, since=Anchor(9, noted.chain)).problems == (
            "entry 9, after which was to be verified, is not there",
        )
        change(place, "DELETE FROM entries WHERE seq = 4")
        assert not verify(records, since=noted).is_sound

    def test_what_an_erasure_says_of_entries_before_is_looked_at(self, place, grown):
        records, noted = grown
        change(place, "UPDATE entries SET customer_id = 'C1', salt = :salt, payload = :salt WHERE seq = 1", salt=b"s")
        assert verify(records, since=noted).problems == (
            "entry 1: entry 7 says that it was emptied, but there is content",
        )

    def test_any_place_will_do(self, place, filled):
        chains = {seq: row_of(place, seq)["chain"] for seq in range(1, COUNT + 1)}
        for seq, chain in chains.items():
            found = verify(filled, since=Anchor(seq, chain), anchor=Anchor(COUNT, chains[COUNT]))
            assert (found.problems, found.entries) == ((), COUNT - seq)
        with pytest.raises(BadInput, match="entry 2, lies before entry 3"):
            verify(filled, since=Anchor(3, chains[3]), anchor=Anchor(2, chains[2]))


class TestErased:
    def test_content_gone_without_an_erasure(self, place, filled):
        change(place, "UPDATE entries SET customer_id = NULL, salt = NULL, payload = NULL WHERE seq = 3")
        assert problems(filled) == ("entry 3: its content is gone, and no erasure or retention names it",)

    def test_content_put_back(self, place):
        with place.opened() as records:
            records.append_now([decision("C1"), decision("C2")])
            before = row_of(place, 1)
            erase(records, "C1", reason="asked", by="test")
            change(
                place,
                "UPDATE entries SET customer_id = :customer_id, salt = :salt, payload = :payload WHERE seq = 1",
                **{column: before[column] for column in ("customer_id", "salt", "payload")},
            )
            assert problems(records) == ("entry 1: entry 3 says that it was emptied, but there is content",)

    @pytest.mark.parametrize(
        ("payload", "said"),
        [
            (b"", "entry 3: it does not say which entries it has emptied"),
            (b'{"erased": 1}', "entry 3: it does not say which entries it has emptied"),
            (b'{"erased": [[1, 2, 3]]}', "entry 3: it does not say which entries it has emptied"),
            (b'{"erased": [["a", 2]]}', "entry 3: it does not say which entries it has emptied"),
            (b'{"erased": [[2, 3]]}', "entry 3: says that entries 2 to 3 were emptied, not all before it"),
            (b'{"erased": [[0, 9223372036854775807]]}', "entry 3: says that entries 0 to 9223372036854775807 were"),
        ],
    )
    def test_a_forged_erasure_is_found(self, place, payload, said):
        """With hashes that fit; what it says is not trusted."""
        with place.opened() as records:
            records.append_now([decision(), decision()])
            insert(place, forged(row_of(place, 2), kind="erasure", customer_id=None, payload=payload))
            assert any(problem.startswith(said) for problem in problems(records))


class TestWhileOthersWrite:
    def test_what_is_written_meanwhile_is_no_problem(self, place):
        child = place.child("refuse", 0, 8)
        try:
            for _ in range(200):
                child.stdout.readline()
            with place.opened(writable=False) as records:
                first, second = verify(records), verify(records)
            assert (first.problems, second.problems) == ((), ())
            assert 199 <= first.entries <= second.entries
            assert second.head.seq == second.entries
        finally:
            child.kill()
            child.communicate(timeout=60)


class TestManyEntries:
    def test_more_than_are_read_at_once(self, place):
        with place.opened() as records:
            records.append_now([decision() for _ in range(600)])
            assert verify(records).entries == 600
            assert problems(records, records.head) == ()
            assert [entry.seq for entry in every_entry(records)] == list(range(1, 601))


def forged(before, **fields):
    """A row after `before` that somebody who knows how would write."""
    row = before | {"entry_id": "forged", "payload": b"forged", "seq": before["seq"] + 1} | fields
    row["digest"] = digest_of(row["salt"] or b"", row["customer_id"], row["payload"])
    row["salt"] = row["salt"] or b""
    row["chain"] = chain_of(before["chain"], row["seq"], row["kind"], row["entry_id"], row["at"], row["digest"])
    return row


def insert(place, row):
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    change(place, f"INSERT INTO entries ({names}) VALUES ({values})", **row)
