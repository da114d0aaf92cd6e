"""Refusals outlive everything: erasure, retention, a restart, an outage, and whoever takes the key away."""

import json
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import NotFound
from serving.records import RecordsUnavailable, erase, forget_before, verify
from serving.records.suppressions import KEY_FILE, SuppressionKey
from tests.proof import count
from tests.serving.records.places import event, events_of, every_entry

DAYS = ("2026-01-05", "2026-02-05", "2026-03-05")


def consent(customer_id, day, granted, channel=None, purpose="marketing", **fields):
    said = {"customer_id": customer_id, "kind": "consent", "day": day, "purpose": purpose, "granted": granted}
    payload = {"event": said | ({"channel": channel} if channel else {})}
    return event(customer_id, json.dumps(payload).encode(), **fields)


def standing(records, customer_id):
    """What is refused, by purpose and channel: of several answers the newest, of one day the refusal."""
    newest = {}
    for entry in events_of(records, customer_id).get(customer_id, ()):
        said = json.loads(entry.payload)["event"]
        about = said["purpose"], said.get("channel")
        newest[about] = max(newest.get(about, ("", False)), (said["day"], not said["granted"]))
    return {about for about, (_, refuses) in newest.items() if refuses}


def test_who_refused_and_was_erased_has_refused(place):
    """Broken before: `log erase` brought marketing back to them."""
    with place.opened() as records:
        records.append_now([consent("C1", DAYS[0], False), consent("C2", DAYS[0], True), consent("C3", DAYS[0], False)])
        erase(records, "C1", reason="asked", by="officer")
        assert standing(records, "C1") == {("marketing", None)}
        assert standing(records, "C2") == set()
        assert standing(records, "C3") == {("marketing", None)}
        assert verify(records).problems == ()
        by_all = records.all_events(lambda: ["C0", "C1", "C2", "C3"])
        assert sorted(by_all) == ["C1", "C2", "C3"]
    with place.opened(writable=False) as records:
        assert standing(records, "C1") == {("marketing", None)}


def test_nothing_left_names_the_person(place):
    with place.opened() as records:
        records.append_now([consent("a-name-that-must-vanish", DAYS[0], False)])
        erase(records, "a-name-that-must-vanish", reason="asked", by="officer")
        for entry in every_entry(records):
            assert "a-name-that-must-vanish" not in f"{entry.customer_id} {entry.payload}"
    key = place.workspace / KEY_FILE
    assert key.stat().st_mode & 0o077 == 0
    for path in place.workspace.iterdir():
        if path != key and path.is_file():
            assert key.read_bytes() not in path.read_bytes()


def test_what_is_forgotten_after_some_time_stays_refused(place):
    with place.opened() as records:
        old = {"at": "2026-01-06T00:00:00.000000Z"}
        records.append_now([
            consent("C1", DAYS[0], False, channel="sms", **old),
            consent("C1", DAYS[0], False, purpose="personalisation", **old),
            consent("C2", DAYS[0], False, **old), consent("C2", DAYS[1], True, **old),
        ])  # fmt: skip
        forget_before(records, date(2026, 3, 1), by="retention")
        assert standing(records, "C1") == {("marketing", "sms"), ("personalisation", None)}
        assert standing(records, "C2") == set()


def test_a_newer_consent_lifts_it_and_that_is_kept_too(place):
    with place.opened() as records:
        records.append_now([consent("C1", DAYS[0], False)])
        erase(records, "C1", reason="asked", by="officer")
        records.append_now([consent("C1", DAYS[0], True)])
        assert standing(records, "C1") == {("marketing", None)}  # of one day the refusal
        records.append_now([consent("C1", DAYS[1], True)])
        assert standing(records, "C1") == set()
        erase(records, "C1", reason="asked again", by="officer")
        assert standing(records, "C1") == set()


@pytest.mark.parametrize("what", ["gone", "another"])
def test_without_its_key_nothing_is_answered(place, what):
    """Who refused would not be known: nobody may be offered anything then."""
    with place.opened() as records:
        records.append_now([consent("C1", DAYS[0], False)])
        erase(records, "C1", reason="asked", by="officer")
    key = place.workspace / KEY_FILE
    kept = key.read_bytes()
    key.unlink()
    if what == "another":
        SuppressionKey.made(place.workspace)
    for writable in (True, False):
        with pytest.raises(RecordsUnavailable, match=f"{KEY_FILE} is {what}"), place.opened(writable=writable):
            pass
    key.write_bytes(kept)
    with place.opened() as records:
        assert standing(records, "C1") == {("marketing", None)}


def test_a_broken_key_is_said(place):
    with place.opened():
        (place.workspace / KEY_FILE).write_bytes(b"short")
    with pytest.raises(RecordsUnavailable, match="is not the key that was written"), place.opened():
        pass


def test_they_are_known_while_the_database_is_away(sqlite):
    with sqlite.opened(on_failure="queue") as records:
        records.append_now([consent("C1", DAYS[0], False)])
        erase(records, "C1", reason="asked", by="officer")
    with sqlite.opened(on_failure="queue") as records:
        records._standby.is_down = True
        assert standing(records, "C1") == {("marketing", None)}


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"), st.sampled_from(["C1", "C2"]), st.sampled_from(DAYS), st.booleans(),
            st.sampled_from([None, "sms"]),
        ),
        st.tuples(st.just("erase"), st.sampled_from(["C1", "C2"])),
        st.tuples(st.just("forget")),
    ),
    max_size=14,
)  # fmt: skip


@pytest.mark.proof
@settings(
    deadline=None, max_examples=count(25, proof=1000), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_no_order_of_things_loses_a_refusal(sqlite, tmp_path_factory, steps):
    """Beside what was said, remembered by somebody who forgets nothing."""
    workspace = tmp_path_factory.mktemp("any")
    place = type(sqlite)(workspace, "")
    said = {}
    with place.opened() as records:
        for step in steps:
            if step[0] == "say":
                _, customer_id, day, granted, channel = step
                records.append_now([consent(customer_id, day, granted, channel, at=f"{day}T01:00:00.000000Z")])
                newest = said.setdefault(customer_id, {})
                newest[channel] = max(newest.get(channel, ("", False)), (day, not granted))
            elif step[0] == "forget":
                forget_before(records, date(2026, 3, 1), by="test")
            elif events_of(records, step[1]):
                with suppress(NotFound):  # only what outlives erasure is left of them
                    erase(records, step[1], reason="asked", by="test")
        for customer_id in ("C1", "C2"):
            refused = {("marketing", c) for c, (_, refuses) in said.get(customer_id, {}).items() if refuses}
            found = standing(records, customer_id)
            assert found >= refused
            if not {"erase", "forget"} & {step[0] for step in steps}:
                assert found == refused  # else a consent may be forgotten, and an older refusal be told of later
        assert verify(records).problems == ()
