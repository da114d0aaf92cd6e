"""What was told over the service is put beside the bank's own tables: counted, from the day it was known, and nothing
twice."""

from collections import Counter
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import block_of, feature_set_of
from features.build import build_states
from features.checks import INBOX_CHECK
from features.checks.checking import Status
from features.errors import BadInput
from features.sources import BankTables
from features.sources.inbox import INBOX, Fate, take_in
from features.states.events import conversation_number
from training.uplift import trials_of

from .small_bank import clean_tables, write_csv

AS_OF = date(2023, 12, 31)
TEXT, DAY = pa.string(), pa.date32()
CONTACTS = {
    "contact_id": TEXT, "customer_id": TEXT, "product_id": TEXT, "channel": TEXT, "contacted_on": DAY, "arm": TEXT,
    "outcome": TEXT, "outcome_on": DAY, "recorded_on": DAY, "conversation": TEXT,
}  # fmt: skip
CONSENTS = {
    "customer_id": TEXT, "purpose": TEXT, "channel": TEXT, "granted": pa.bool_(), "changed_on": DAY, "recorded_on": DAY,
}  # fmt: skip


def contact(number, customer="c2", product="card", day=date(2023, 6, 1), outcome="declined", recorded=None, **more):
    return {
        "contact_id": f"e{number}", "customer_id": customer, "product_id": product, "channel": "rm",
        "contacted_on": day, "arm": "treated", "outcome": outcome, "outcome_on": day, "recorded_on": recorded,
        "conversation": f"talk {number}",
    } | more  # fmt: skip


def consent(customer="c2", granted=False, day=date(2023, 6, 1), channel=None, recorded=None, purpose="marketing"):
    return {
        "customer_id": customer, "purpose": purpose, "channel": channel, "granted": granted, "changed_on": day,
        "recorded_on": recorded,
    }  # fmt: skip


def fill(folder, contacts=(), consents=()):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows, columns in (("contacts", contacts, CONTACTS), ("consents", consents, CONSENTS)):
        if rows:
            table = pa.Table.from_pylist(list(rows), schema=pa.schema(list(columns.items())))
            pq.write_table(table, folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("bank"), clean_tables())


def taken(bank, inbox, query):
    """What came of the inbox, and what a query of all says."""
    with BankTables.open(bank) as tables:
        found = take_in(tables, inbox, AS_OF)
        return {each.table: each for each in found}, tables.connection.execute(query).fetchall()


def test_each_row_has_one_fate_and_is_counted(bank, tmp_path):
    rows = [
        contact(1),
        contact(2, "c1", day=date(2023, 1, 1)),  # k1 of the bank
        contact(3, "c1", day=date(2023, 1, 2)),  # the day on which k1's outcome was known
        contact(4, "c1", day=date(2023, 1, 2), outcome="accepted"),
        contact(5, "nobody"),
        contact(6, product="nothing"),
        contact(7, recorded=date(2024, 1, 1)),
        contact(8, outcome="perhaps"),
        contact(9, arm="control"),
        contact(10, channel=""),
        contact(1, day=date(2023, 6, 2), recorded=date(2023, 6, 2)),
    ]
    found, all_of_them = taken(bank, fill(tmp_path / INBOX, rows), "SELECT contact_id, conversation FROM contacts")
    assert found["contacts"].rows == {
        Fate.TAKEN: 2, Fate.SAID: 2, Fate.NO_CUSTOMER: 1, Fate.NO_PRODUCT: 1, Fate.LATER: 1, Fate.UNREADABLE: 3,
        Fate.TWICE: 1,
    }  # fmt: skip
    assert found["contacts"].first_keys[Fate.UNREADABLE] == ("e10", "e8", "e9")
    assert sorted(all_of_them) == [("e1", "talk 1"), ("e4", "talk 4"), ("k1", None), ("k2", None)]


def test_of_two_answers_of_one_day_the_refusal_counts_from_when_it_was_known(bank, tmp_path):
    day = date(2023, 1, 2)
    rows = [
        consent("c1", False, day, recorded=date(2023, 5, 5)),  # the bank's table says granted
        consent("c1", False, day, "phone", recorded=date(2023, 5, 5)),  # as the bank's
        consent("c1", True, day, "rm"),
    ]
    build = build_states(bank, tmp_path, as_of=AS_OF, inbox=fill(tmp_path / "told", consents=rows))
    (check,) = [each for each in build.checks.results if each.name == INBOX_CHECK]
    assert (check.status, check.rows) == (Status.WARN, 1)
    assert "3 rows from the inbox: 2 taken in, 1 said by the bank's own table, 1 of those" in check.message
    log, known = build.states.consents, date(2023, 5, 5).toordinal() - date(1970, 1, 1).toordinal()
    channels = log.vocabularies["channel"]
    told = {
        (channels[channel] if channel >= 0 else None, bool(granted), int(at) == known)
        for channel, granted, at in zip(*(log.columns[n] for n in ("channel", "granted", "known_on")), strict=True)
    }
    assert told == {(None, True, False), (None, False, True), ("phone", False, False), ("rm", True, False)}


def test_a_bank_without_the_tables_has_what_the_inbox_tells(tmp_path):
    tables = clean_tables()
    del tables["contacts"], tables["consents"]
    bank = write_csv(tmp_path / "bank", tables)
    fill(tmp_path / "workspace" / INBOX, [contact(1), contact(2, "nobody")], [consent()])
    build = build_states(bank, tmp_path / "workspace", as_of=AS_OF)
    states = build.states
    position = states.position_of("c2")
    for log in (states.contacts, states.consents):
        assert log.indptr[position + 1] - log.indptr[position] == log.indptr[-1] == 1
    assert states.contacts.columns["conversation"].tolist() == [conversation_number("talk 1")]
    assert "contacts_declined" in feature_set_of(states).names
    (warned,) = [each for each in build.checks.with_status(Status.WARN) if each.name == INBOX_CHECK]
    assert (warned.table, warned.rows, warned.first_keys) == ("contacts", 1, ("e2",))
    assert INBOX_CHECK in (tmp_path / "workspace" / "checks.json").read_text(encoding="utf-8")


def test_features_of_an_earlier_day_do_not_see_what_was_told_later(bank, tmp_path):
    """Contacted in June, on record in September: seen from September on."""
    fill(tmp_path / INBOX, [contact(1, day=date(2023, 6, 10), recorded=date(2023, 9, 1))])
    states = build_states(bank, tmp_path, as_of=AS_OF).states
    column = feature_set_of(states).names.index("contacts_12")
    position = states.position_of("c2")

    def seen(months_back):
        block = block_of(states, states.known_at(states.as_of_period), states.as_of_period - months_back)
        return block.features[position, column]

    assert [seen(back) for back in (6, 5, 4, 3, 0)] == [0, 0, 0, 1, 1]  # June, July, August, September, December


def test_another_inbox_is_another_build_and_none_is_the_one_before(bank, tmp_path):
    first = build_states(bank, tmp_path, as_of=AS_OF).states.manifest
    fill(tmp_path / INBOX, consents=[consent()])
    second = build_states(bank, tmp_path, as_of=AS_OF).states.manifest
    assert second.build_id != first.build_id
    assert set(second.fingerprints) - set(first.fingerprints) == {"inbox/consents"}
    assert build_states(bank, tmp_path, as_of=AS_OF).states.manifest.build_id == second.build_id
    (tmp_path / INBOX / "consents.parquet").unlink()
    assert build_states(bank, tmp_path, as_of=AS_OF).states.manifest == first


def test_the_inbox_moves_no_date(bank, tmp_path):
    without = build_states(bank, tmp_path).states.manifest
    fill(tmp_path / INBOX, [contact(1, day=date(2025, 6, 10))], [consent(day=date(2025, 6, 10))])
    with_it = build_states(bank, tmp_path).states.manifest
    assert (with_it.as_of, with_it.known_to) == (without.as_of, without.known_to)


def test_a_file_that_cannot_be_read_stops_the_build(bank, tmp_path):
    """Without it, who refused would be offered something."""
    (tmp_path / INBOX).mkdir()
    (tmp_path / INBOX / "consents.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match=r"consents\.parquet cannot be read"):
        build_states(bank, tmp_path)


def test_what_was_told_is_never_a_trial(bank, tmp_path):
    """Whatever a file says of arms: a trial would take a contact made unasked for one that chance decided."""
    arms = pa.schema([*CONTACTS.items(), ("campaign_id", TEXT), ("propensity_of_arm", pa.float64())])
    rows = [
        contact(number, day=date(2023, 4, number)) | {"campaign_id": "spring", "propensity_of_arm": 0.5}
        for number in range(1, 9)
    ]
    (tmp_path / INBOX).mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=arms), tmp_path / INBOX / "contacts.parquet")
    states = build_states(bank, tmp_path, as_of=AS_OF).states
    assert states.contacts.indptr[-1] == 8 + 2
    trials = trials_of(states, horizon=1)
    assert set(trials.customers.tolist()) <= {states.position_of("c1")}  # whose contacts the bank's table randomised
    own = build_states(bank, tmp_path / "own", as_of=AS_OF).states
    assert len(trials) == len(trials_of(own, horizon=1))


DAYS = st.sampled_from([date(2023, 1, 1), date(2023, 1, 2), date(2023, 2, 1), date(2023, 2, 2)])
RECORDED = st.sampled_from([None, date(2023, 1, 2), date(2023, 12, 31), date(2024, 1, 1)])
TOLD_CONTACTS = st.lists(
    st.builds(
        contact, st.integers(0, 9), st.sampled_from(["c1", "c2", "nobody"]), st.sampled_from(["card", "nothing"]), DAYS,
        st.sampled_from(["declined", "accepted", "later"]), RECORDED,
    ),
    max_size=8, unique_by=lambda row: row["contact_id"],
)  # fmt: skip
TOLD_CONSENTS = st.lists(
    st.builds(
        consent, st.sampled_from(["c1", "c2", "nobody"]), st.booleans(), DAYS, st.sampled_from([None, "phone"]),
        RECORDED,
    ),
    max_size=8, unique_by=lambda row: (row["customer_id"], row["channel"], row["changed_on"]),
)  # fmt: skip


def expected_fate(row, happened):
    """As a person would say it of a bank whose c1 declined the card on 1 January and on 1 February, each known the day
    after, and agreed to marketing but not to calls on 2 January."""
    known = max(row["recorded_on"] or row[happened], row[happened])
    if row["customer_id"] == "nobody":
        return Fate.NO_CUSTOMER
    if row.get("product_id") == "nothing":
        return Fate.NO_PRODUCT
    if known > AS_OF:
        return Fate.LATER
    if row["customer_id"] != "c1":
        return Fate.TAKEN
    if happened == "contacted_on":
        return Fate.SAID if row["outcome"] == "declined" else Fate.TAKEN
    same = row["changed_on"] == date(2023, 1, 2) and row["granted"] == (row["channel"] is None)
    return Fate.SAID if same else Fate.TAKEN


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contacts=TOLD_CONTACTS, consents=TOLD_CONSENTS)
def test_any_inbox(bank, tmp_path_factory, contacts, consents):
    inbox = fill(tmp_path_factory.mktemp("any") / INBOX, contacts, consents)
    found, ids = taken(bank, inbox, "SELECT contact_id FROM contacts")
    for name, rows, happened in (("contacts", contacts, "contacted_on"), ("consents", consents, "changed_on")):
        fates = Counter(expected_fate(row, happened) for row in rows)
        assert (found[name].rows if rows else {}) == fates
    stay = {row["contact_id"] for row in contacts if expected_fate(row, "contacted_on") is Fate.TAKEN}
    assert sorted(ids) == sorted((each,) for each in stay | {"k1", "k2"})
    against = [
        row
        for row in consents
        if row["customer_id"] == "c1" and expected_fate(row, "changed_on") is Fate.TAKEN
        and row["changed_on"] == date(2023, 1, 2) and row["granted"] != (row["channel"] is None)
    ]  # fmt: skip
    assert (found["consents"].differing if consents else 0) == len(against)
