"""What was told over the service is in the next build, and decisions after it are those before."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta

import orjson
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.calendar import Calendar, Frequency
from features.sources.inbox import INBOX
from features.states import current_states
from serving.access import create_demo_key
from serving.answering.answer import Question
from serving.commands.main import app
from serving.decisions import FreshEvent, Reason
from serving.deployment import current, event_entry, heard_of_everybody
from serving.records import Entry, Records, RecordsConfig, RecordsUnavailable
from tests.serving.api.bank import Bank
from tests.serving.later import CLOCK
from tests.training.banks import synthetic_tables

MONTHS = Calendar(Frequency.MONTH)
LAST_DAY = MONTHS.end_of(MONTHS.period_of(CLOCK.today()))
"""Data that go to the end of this month: what is put on record now is known by then."""

RANKED = Reason.OUTRANKED.bit | Reason.PROPENSITY_BELOW_FLOOR.bit


def run(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.exception, done.output)
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def tables(session_folder):
    return synthetic_tables(session_folder)


@pytest.fixture(scope="module")
def up_to_date(trained, tables, tmp_path_factory):
    """A workspace whose states go to the end of this month; read only."""
    workspace = tmp_path_factory.mktemp("inbox") / "workspace"
    shutil.copytree(trained, workspace)
    create_demo_key(workspace)
    run("build", tables, workspace, "--as-of", LAST_DAY)
    return workspace


@pytest.fixture
def bank(up_to_date, tmp_path):
    with Bank(shutil.copytree(up_to_date, tmp_path / "bank")) as running:
        yield running


def built(bank, tables):
    """Build anew and put it into use; what the command said."""
    said = run("build", tables, bank.workspace, "--as-of", LAST_DAY)
    before = current(bank.workspace).states
    assert bank.post("/v1/admin/swap", json={}).status_code == 200
    made = current(bank.workspace)
    assert made.states != before
    while bank.service.in_use.get().deployment.number != made.number:  # until the worker has it too
        bank.run(asyncio.sleep(0.02))
    return said


def excluded(bank):
    """What stands against each product of each customer, ranking aside: models see the contacts, and may rank anew."""
    engine = bank.engine
    states = engine.states
    fresh = heard_of_everybody(bank.service.records, engine)
    questions = [Question(states.customer_id(position), 1) for position in range(states.n_customers)]
    found = {}
    for answer in engine.answer(questions, fresh=fresh):
        decisions, row = answer.decisions, answer.row
        found[states.customer_id(int(answer.block.positions[row]))] = (
            (decisions.excluded[row] & ~RANKED).tolist(),
            decisions.silences.rules[row].tolist(),
            decisions.silences.raised[row].tolist(),
        )
    assert len(found) == states.n_customers
    return found


def asked(bank, limit=4):
    """Decisions with several suggestions, of customers one after the other."""
    states = bank.engine.states
    for position in range(states.n_customers):
        path = f"/v1/customers/{states.customer_id(position)}/recommendations"
        decision = bank.get(path, params={"limit": limit}).json()
        if len(decision["recommendations"]) > 2:
            yield decision


def tell(bank, decision, which, outcome, **more):
    product = decision["recommendations"][which]["product_id"]
    said = {"decision_id": decision["decision_id"], "product_id": product, "outcome": outcome, **more}
    assert bank.post("/v1/feedback", json=said).status_code == 201
    return product


def refuse(bank, customer_id, **more):
    told = {"customer_id": customer_id, "kind": "consent", "purpose": "marketing", "granted": False, **more}
    assert bank.post("/v1/events", json=told).status_code == 201


def test_decisions_after_a_build_are_those_before(bank, tables):
    """Several words of one conversation, a day to come back on, a last word, single outcomes, refusals; and what is
    said of one conversation before and after the build."""
    decisions = asked(bank)
    talk, later, twice, alone, refuser, by_channel = (next(decisions) for _ in range(6))
    tell(bank, talk, 0, "declined")
    tell(bank, talk, 1, "accepted")
    tell(bank, later, 0, "later", until=str(LAST_DAY + timedelta(days=200)))
    tell(bank, twice, 0, "declined")
    tell(bank, twice, 0, "accepted")
    product = alone["recommendations"][0]["product_id"]
    for outcome in ("declined", "no_answer"):  # on record without a conversation, as before there were any
        event = FreshEvent(alone["customer_id"], "outcome", bank.engine.day(), product, "rm", outcome)
        assert bank.run(bank.service.records.append([event_entry(event, entry_id=outcome, told={})]))
    refuse(bank, refuser["customer_id"])
    refuse(bank, by_channel["customer_id"], channel="rm")
    before, overview = excluded(bank), bank.get(f"/v1/customers/{talk['customer_id']}").json()["contacts"]
    said = built(bank, tables)
    assert "6 contacts and 2 answers of consent" in said
    assert "contacts: 6 rows from the inbox: 6 taken in" in said
    assert excluded(bank) == before
    assert bank.get(f"/v1/customers/{talk['customer_id']}").json()["contacts"] == overview
    log = bank.engine.states.contacts
    assert (log.columns["conversation"] >= 0).sum() == 6
    # the last word after the build takes back what the build was told
    product = tell(bank, talk, 0, "accepted")
    why = bank.get(f"/v1/customers/{talk['customer_id']}/products/{product}/why-not").json()
    assert "RECENTLY_DECLINED" not in why["reasons"]
    assert "6 contacts" in built(bank, tables)
    why = bank.get(f"/v1/customers/{talk['customer_id']}/products/{product}/why-not").json()
    assert "RECENTLY_DECLINED" not in why["reasons"]


def test_a_build_remembers_what_the_records_forget(bank, tables):
    decision = next(asked(bank))
    product = tell(bank, decision, 0, "declined")
    customer_id = decision["customer_id"]
    refuse(bank, customer_id)
    built(bank, tables)
    run("log", "erase", bank.workspace, customer_id, "--reason", "asked", "--yes")
    states = bank.engine.states
    assert not [*bank.service.records.all_events(list)]
    why = bank.get(f"/v1/customers/{customer_id}/products/{product}/why-not").json()
    assert {"RECENTLY_DECLINED", "MARKETING_REFUSED"} <= set(why["reasons"])
    # the next build knows the refusal, by its hash alone, and the contact no more
    assert "0 contacts and 1 answers" in built(bank, tables)
    newer = bank.engine.states
    assert "conversation" in states.contacts.columns
    assert "conversation" not in newer.contacts.columns
    position = newer.position_of(customer_id)
    own = slice(*newer.consents.indptr[position : position + 2])
    assert newer.consents.columns["granted"][own][-1] == 0
    why = bank.get(f"/v1/customers/{customer_id}/products/{product}/why-not").json()
    assert "MARKETING_REFUSED" in why["reasons"]
    assert "RECENTLY_DECLINED" not in why["reasons"]


def test_files_are_their_owners_and_the_same_again(bank, tables):
    refuse(bank, bank.engine.states.customer_id(0))
    run("build", tables, bank.workspace, "--as-of", LAST_DAY)
    folder = bank.workspace / INBOX
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["consents.parquet"]
    assert (folder / "consents.parquet").stat().st_mode & 0o777 == 0o600
    first = current_states(bank.workspace).manifest.build_id
    run("build", tables, bank.workspace, "--as-of", LAST_DAY)
    assert current_states(bank.workspace).manifest.build_id == first


def test_a_day_is_the_banks(bank, tables):
    """Recorded in the evening of one day in UTC, in the morning of the next in Shanghai."""
    at = datetime.now(UTC).replace(hour=20, microsecond=1) - timedelta(days=3)
    event = {"kind": "consent", "day": str(at.date()), "purpose": "marketing", "granted": False}
    told = Entry("event", "an entry", "R0000003", orjson.dumps({"event": event}), at=f"{at:%Y-%m-%dT%H:%M:%S.%fZ}")
    assert bank.run(bank.service.records.append([told]))
    run("build", tables, bank.workspace, "--as-of", LAST_DAY)
    (row,) = pq.read_table(bank.workspace / INBOX / "consents.parquet").to_pylist()
    assert row == {
        "customer_id": "R0000003", "purpose": "marketing", "channel": None, "granted": False,
        "changed_on": at.date(), "recorded_on": at.date() + timedelta(days=1),
    }  # fmt: skip


def test_without_records_nothing_is_written(own):
    workspace, tables = own
    run("build", tables, workspace)
    assert not (workspace / INBOX).exists()
    assert not (workspace / "records.db").exists()


@pytest.mark.parametrize("command", ["build", "retrain"])
def test_records_that_are_away_stop_the_build(bank, tables, command):
    """Without them, who refused would be offered something."""
    before = current_states(bank.workspace).manifest.build_id
    bank.__exit__()
    for path in bank.workspace.glob("records.db*"):
        path.unlink()
    words = [command, *([str(tables)] if command == "build" else []), str(bank.workspace)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, RecordsUnavailable)
    assert "the records were taken away" in str(done.exception)
    assert current_states(bank.workspace).manifest.build_id == before
    bank.__init__(bank.workspace)
    Records.open(bank.workspace, RecordsConfig()).close()
    bank.__enter__()
