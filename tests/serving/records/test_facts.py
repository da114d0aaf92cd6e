"""The table of suggestions and outcomes, beside what was put on record."""

from datetime import UTC, date, datetime

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadInput
from serving.records import Entry, erase, facts, new_entry_id
from serving.records.facts import HEAD, SCHEMA, Facts, write_facts
from tests.serving.records.places import decision

VERSIONS = {"model": "3", "states": "b1", "as_of": "2026-01-31", "policy": "demo@1#a", "catalogue": "c"}
RM = {"subject": "li", "role": "rm", "rm_id": "RM1", "how": "token"}


def suggested(rank, product_id, **fields):
    factors = {"propensity": 0.25, "value": 8.0, "context": 1.0, "lever": 1.5, "priority": 3.0, "client_asked": False}
    return {"rank": rank, "product_id": product_id} | factors | fields


def made(customer_id, *suggestions, at=None, **fields):
    decision_id = new_entry_id()
    answer = {"channel": "rm", "personalised": True, "recommendations": suggestions} | fields.pop("answer", {})
    said = {
        "format": 2, "decision_id": decision_id, "caller": RM, "request": {}, "day": "2026-02-01", "deployment": 1,
        "software": "0.1.0+a", "versions": VERSIONS, "answer": answer,
    }  # fmt: skip
    return Entry("decision", decision_id, customer_id, orjson.dumps(said | fields), at)


def told(customer_id, decision_id, product_id, outcome, day="2026-02-03", at=None):
    said = {"decision_id": decision_id, "product_id": product_id, "outcome": outcome, "day": day}
    return Entry("feedback", new_entry_id(), customer_id, orjson.dumps({"feedback": said}), at)


def written(records, tmp_path):
    done = write_facts(records, tmp_path / "facts.parquet")
    table = pq.read_table(tmp_path / "facts.parquet")
    assert table.schema.equals(SCHEMA)
    return done, table.to_pylist()


def test_a_row_says_what_was_suggested_to_whom_by_what_and_what_became_of_it(place, tmp_path):
    with place.opened() as records:
        one = made("C1", suggested(1, "fund"), suggested(2, "card"), at="2026-02-01T08:00:00.000000Z")
        outcome = told("C1", one.entry_id, "card", "declined", at="2026-02-03T09:30:00.000000Z")
        records.append_now([one, outcome])
        done, (fund, card) = written(records, tmp_path)
    assert done == Facts(rows=2, decisions=1, empty=0, erased=0)
    assert card == {
        "seq": 1, "decision_id": one.entry_id, "at": datetime(2026, 2, 1, 8, tzinfo=UTC), "day": date(2026, 2, 1),
        "customer_id": "C1", "channel": "rm", "personalised": True, "product_id": "card", "rank": 2,
        "client_asked": False, "propensity": 0.25, "value": 8.0, "context": 1.0, "lever": 1.5, "priority": 3.0,
        "subject": "li", "role": "rm", "rm_id": "RM1", "branch_id": None, "model": "3", "states": "b1",
        "policy": "demo@1#a", "catalogue": "c", "deployment": 1, "software": "0.1.0+a", "outcome": "declined",
        "outcome_day": date(2026, 2, 3), "outcome_at": datetime(2026, 2, 3, 9, 30, tzinfo=UTC),
        "feedback_id": outcome.entry_id, "campaign": None, "arm": None,
    }  # fmt: skip
    assert (fund["product_id"], fund["outcome"], fund["feedback_id"]) == ("fund", None, None)


def test_the_newest_feedback_counts(place, tmp_path):
    with place.opened() as records:
        one, other = made("C1", suggested(1, "fund")), made("C1", suggested(1, "fund"))
        records.append_now([one, other, told("C1", one.entry_id, "fund", "shown")])
        records.append_now([told("C1", one.entry_id, "fund", "accepted"), told("C1", other.entry_id, "fund", "later")])
        _, rows = written(records, tmp_path)
    assert [row["outcome"] for row in rows] == ["accepted", "later"]


def test_what_suggests_nothing_or_was_erased_is_counted(place, tmp_path):
    with place.opened() as records:
        records.append_now([made("C1", suggested(1, "fund")), made("C2"), made("C3", suggested(1, "fund"))])
        erase(records, "C1", reason="asked", by="test")
        done, (row,) = written(records, tmp_path)
        head = pq.read_schema(tmp_path / "facts.parquet").metadata[HEAD].decode()
    assert done == Facts(rows=1, decisions=1, empty=1, erased=1)
    assert (row["customer_id"], head.partition(":")[0]) == ("C3", "4")


def test_who_refused_to_be_personalised_has_no_factors(place, tmp_path):
    nothing = dict.fromkeys(("propensity", "value", "context", "lever"))
    with place.opened() as records:
        records.append_now([made("C1", suggested(1, "fund", **nothing), answer={"personalised": False})])
        _, (row,) = written(records, tmp_path)
    assert {name: row[name] for name in nothing} == nothing
    assert not row["personalised"]


def test_decisions_of_the_first_format_are_in_it(place, tmp_path):
    with place.opened() as records:
        records.append_now([made("C1", suggested(1, "fund"), format=1)])
        assert written(records, tmp_path)[0].rows == 1


def test_what_is_no_decision_is_refused_and_nothing_left(sqlite, tmp_path):
    with sqlite.opened() as records:
        records.append_now([made("C1", suggested(1, "fund")), decision("C1")])
        before = sorted(tmp_path.iterdir())
        with pytest.raises(BadInput, match="entry 2 does not say what a decision says"):
            write_facts(records, tmp_path / "facts.parquet")
        assert sorted(tmp_path.iterdir()) == before


def test_it_is_what_a_look_at_every_entry_gives(place, tmp_path, monkeypatch):
    """Whatever was suggested, told and erased, in pieces of any size."""
    monkeypatch.setattr(facts, "_GROUP", 7)
    monkeypatch.setattr("serving.records.pages.PAGE", 5)
    known: list[tuple[str, str, list[str]]] = []
    expected: dict[tuple[str, str], str | None] = {}
    customers, products = st.sampled_from(["C1", "C2", "C3"]), st.sampled_from(["fund", "card", "loan"])
    outcomes = st.sampled_from(["shown", "accepted", "declined"])
    acts = st.one_of(
        st.tuples(st.just("decide"), customers, st.lists(products, unique=True)),
        st.tuples(st.just("tell"), st.integers(0, 99), outcomes),
        st.tuples(st.just("erase"), customers, st.none()),
    )
    with place.opened() as records:

        @settings(max_examples=25, deadline=None)
        @given(st.lists(acts, min_size=1, max_size=12))
        def check(acts):
            for act, which, what in acts:
                if act == "decide":
                    entry = made(which, *(suggested(rank, product) for rank, product in enumerate(what, start=1)))
                    records.append_now([entry])
                    known.append((which, entry.entry_id, what))
                    expected.update({(entry.entry_id, product): None for product in what})
                elif act == "tell" and any(suggestions for _, _, suggestions in known):
                    some = [each for each in known if each[2]]
                    customer, decision_id, suggestions = some[which % len(some)]
                    product = suggestions[which % len(suggestions)]
                    records.append_now([told(customer, decision_id, product, what)])
                    expected[decision_id, product] = what
                elif act == "erase" and any(customer == which for customer, _, _ in known):
                    erase(records, which, reason="asked", by="test")
                    for customer, decision_id, suggestions in known:
                        if customer == which:
                            for product in suggestions:
                                del expected[decision_id, product]
                    known[:] = [each for each in known if each[0] != which]
            done, rows = written(records, tmp_path)
            assert [((row["decision_id"], row["product_id"]), row["outcome"]) for row in rows] == list(expected.items())
            assert done.decisions + done.empty == len(known)
            assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)

        check()
