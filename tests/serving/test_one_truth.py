"""Whatever decides, decides with the same: the service, every command, every list and every simulation."""

import json
import sqlite3
from datetime import UTC, datetime
from hashlib import sha256

import orjson
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import NotReady
from serving.commands.main import app
from serving.deployment import current
from serving.records import Records, RecordsConfig, RecordsUnavailable
from tests.serving.api.bank import bank_of
from tests.serving.deployment.changing import edit_policy

PRODUCTS = "fund_money,fund_mixed,time_deposit,credit_card"
EVERYBODY = 10**6


@pytest.fixture(scope="module")
def bank(trained, tmp_path_factory):
    with bank_of(trained, tmp_path_factory.mktemp("one"), access={"single_person": True}) as running:
        yield running


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def said(*words):
    """What a command prints, as JSON."""
    done = run(*words, "--json")
    assert done.exit_code == 0, (done.exception, done.output)
    return json.loads(done.stdout)


def listed(bank, folder, *words):
    """Ids of the customers on the longest list there is."""
    out = folder / "list.csv"
    done = run("campaign", bank.workspace, "--products", PRODUCTS, "--size", EVERYBODY, "--out", out, *words)
    assert done.exit_code == 0, (done.exception, done.output)
    return pd.read_csv(out)


def recommended(bank, customer_id):
    answer = bank.get(f"/v1/customers/{customer_id}/recommendations").json()
    return {name: answer[name] for name in ("day", "recommendations", "versions")}


@pytest.fixture
def customer(bank, tmp_path):
    """Somebody on the list to whom nothing has happened."""
    for customer_id in listed(bank, tmp_path)["customer_id"]:
        if not bank.run(bank.service.records.events_of([customer_id])):
            return customer_id
    raise AssertionError("something has happened to everybody")


def test_who_withdraws_consent_over_the_api_is_on_no_list(bank, customer, tmp_path):
    """Broken before: commands opened the workspace by themselves and knew nothing of what had been told the service."""
    told = {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": False}
    assert bank.post("/v1/events", json=told).status_code == 201
    assert recommended(bank, customer)["recommendations"] == []
    assert customer not in set(listed(bank, tmp_path)["customer_id"])
    assert said("recommend", bank.workspace, customer)["recommendations"] == []
    product = PRODUCTS.split(",")[0]
    assert "MARKETING_REFUSED" in said("why-not", bank.workspace, customer, product)["reasons"]


def test_what_has_just_been_opened_is_offered_by_nothing(bank, customer, tmp_path):
    offers = listed(bank, tmp_path).set_index("customer_id")
    product = offers.loc[customer, "product_id"]
    told = {"customer_id": customer, "kind": "opened", "product_id": product}
    assert bank.post("/v1/events", json=told).status_code == 201
    service = recommended(bank, customer)
    command = said("recommend", bank.workspace, customer)
    assert {name: command[name] for name in service} == service
    assert product not in [each["product_id"] for each in service["recommendations"]]
    after = listed(bank, tmp_path).set_index("customer_id")
    assert customer not in after.index or after.loc[customer, "product_id"] != product
    assert said("why-not", bank.workspace, customer, product)["reason"] == "HELD"


def test_policy_reports_hear_of_what_has_happened(bank, customer):
    before = said("policy", "fairness", bank.workspace, "--all")
    told = {"customer_id": customer, "kind": "complaint_opened"}
    assert bank.post("/v1/events", json=told).status_code == 201
    after = said("policy", "fairness", bank.workspace, "--all")
    assert before != after
    assert before["versions"] == after["versions"] == recommended(bank, customer)["versions"]
    policy = bank.workspace / "policy.yaml"
    expected = said("policy", "levers", bank.workspace)["expected_value"]
    assert said("policy", "diff", policy, policy, "--on", bank.workspace)["expected_value"] == expected


@pytest.mark.parametrize("how", ["erase", "forget"])
@pytest.mark.parametrize("channel", [None, "rm"])
def test_who_refused_stays_refused_whatever_is_erased(bank, customer, tmp_path, how, channel):
    """Broken before: erasing a person, or what is old, brought marketing back to who had refused it."""
    told = {"customer_id": customer, "kind": "consent", "purpose": "marketing", "granted": False, "channel": channel}
    assert bank.post("/v1/events", json=told).status_code == 201
    if how == "erase":
        words = ("erase", bank.workspace, customer, "--reason", "asked", "--yes")
    else:
        words = ("forget", bank.workspace, "--before", datetime.now(UTC).date(), "--yes")
        forget_all(bank)
    done = run("log", *words)
    assert done.exit_code == 0, (done.exception, done.output)
    assert not bank.service.records.newest(9, customer_id=customer, kind="event")
    assert recommended(bank, customer)["recommendations"] == []
    consents = bank.get(f"/v1/customers/{customer}").json()["consents"]
    assert [each["granted"] for each in consents if (each["purpose"], each["channel"]) == ("marketing", channel)] == [
        False
    ]
    assert customer not in set(listed(bank, tmp_path)["customer_id"])
    assert said("recommend", bank.workspace, customer)["recommendations"] == []
    # a decision that heard of it is made again as it was
    decision_id = bank.get(f"/v1/customers/{customer}/recommendations").json()["decision_id"]
    assert bank.post(f"/v1/decisions/{decision_id}:replay").json()["recommendations"] == []


def forget_all(bank):
    """Let the entries be of yesterday, which only somebody at the database can."""
    with sqlite3.connect(bank.workspace / "records.db") as database:
        database.execute("UPDATE entries SET at = '2026-01-01T00:00:00.000000Z'")
    database.close()


class TestWhatIsInUse:
    def test_a_policy_that_was_gone_back_from_decides_nothing_any_more(self, bank, customer, tmp_path):
        """Broken before: a policy that a risk officer rolled back went on making lists."""
        before = recommended(bank, customer)["versions"]
        edit_policy(bank.workspace, "another")
        made = bank.post("/v1/admin/swap", json={"policy": "current"}).json()
        assert said("recommend", bank.workspace, customer)["versions"]["policy"] == made["policy"] != before["policy"]
        back = bank.post("/v1/admin/rollback").json()
        assert back["policy"] == before["policy"]
        assert said("recommend", bank.workspace, customer)["versions"] == before
        assert set(listed(bank, tmp_path)["policy"]) == {before["policy"]}
        for report in ("levers", "fairness"):
            assert said("policy", report, bank.workspace)["versions"] == before

    def test_what_the_workspace_names_is_a_candidate_and_says_how_it_goes_live(self, bank, customer):
        before = recommended(bank, customer)["versions"]
        text = (bank.workspace / "policy.yaml").read_text(encoding="utf-8")
        candidate = bank.workspace / "candidate.yaml"
        candidate.write_text(text.replace('version: "2026.2"', 'version: "2026.9"'), encoding="utf-8")
        done = run("policy", "use", candidate, bank.workspace)
        assert done.exit_code == 0, done.output
        number = current(bank.workspace).number
        assert f"Deployment {number} stays in use" in done.output.replace("\n", " ")
        assert "POST /v1/admin/swap" in done.output.replace("\n", " ")
        assert said("recommend", bank.workspace, customer)["versions"] == before

    def test_deciding_commands_say_with_what(self, bank, customer):
        done = run("recommend", bank.workspace, customer)
        versions = recommended(bank, customer)["versions"]
        for part in ("model", "states", "policy"):
            assert versions[part] in done.stderr.replace("\n", "")
        assert f"deployment {current(bank.workspace).number}" in done.stderr.replace("\n", " ")
        assert "nothing of it is on record" in done.stderr.replace("\n", " ")


class TestLists:
    def test_a_list_is_on_record_with_the_digest_of_its_file(self, bank, tmp_path):
        out = tmp_path / "list.csv"
        words = ("--products", PRODUCTS, "--size", 20, "--out", out, "--by", "campaigns", "--channel", "phone")
        assert run("campaign", bank.workspace, *words).exit_code == 0
        (entry,) = bank.service.records.newest(1, kind="list")
        content = orjson.loads(entry.payload)
        kept = bank.workspace / "lists" / content["list"]["file"]
        assert kept.read_bytes() == out.read_bytes()
        assert content["list"]["sha256"] == sha256(out.read_bytes()).hexdigest() == kept.stem
        assert content["list"]["customers"] == 20
        assert content["list"]["asked"] == {"products": PRODUCTS.split(","), "size": 20, "channel": "phone"}
        assert content["caller"]["subject"] == "campaigns"
        assert content["deployment"] == current(bank.workspace).number
        assert content["versions"]["policy"] == current(bank.workspace).policy
        assert int(content["after"].split(":")[0]) == entry.seq - 1
        assert kept.stat().st_mode & 0o077 == 0

    def test_what_cannot_be_put_on_record_is_no_list(self, bank, tmp_path, monkeypatch):
        def away(self, entries):
            raise RecordsUnavailable("the database is away")

        monkeypatch.setattr(Records, "append_now", away)
        out = tmp_path / "list.csv"
        done = run("campaign", bank.workspace, "--products", PRODUCTS, "--size", 5, "--out", out)
        assert isinstance(done.exception, RecordsUnavailable)
        assert not out.exists()

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_who_is_erased_is_on_no_list_that_is_kept(self, bank, customer, tmp_path, suffix):
        out = tmp_path / f"list.{suffix}"
        words = ("--products", PRODUCTS, "--size", EVERYBODY, "--out", out)
        assert run("campaign", bank.workspace, *words).exit_code == 0
        kept = {path.name for path in (bank.workspace / "lists").iterdir()}
        done = run("log", "erase", bank.workspace, customer, "--reason", "asked", "--yes")
        assert done.exit_code == 0, done.exception
        for path in bank.workspace.rglob("lists/*"):
            assert customer.encode() not in path.read_bytes()
        (entry,) = bank.service.records.newest(1, kind="erasure")
        told = orjson.loads(entry.payload)["lists"]
        assert set(told) <= kept
        whole = read(out)
        new = bank.workspace / "lists" / told[f"{sha256(out.read_bytes()).hexdigest()}.{suffix}"]
        assert sha256(new.read_bytes()).hexdigest() == new.stem
        pd.testing.assert_frame_equal(read(new), whole[whole["customer_id"] != customer].reset_index(drop=True))
        again = run("log", "erase", bank.workspace, customer, "--reason", "asked", "--yes")
        assert again.exit_code == 0 or "nothing of customer" in str(again.exception)


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


class TestWithoutRecords:
    def test_before_anything_happened_there_are_none(self, own, tmp_path):
        workspace, _ = own
        done = run("recommend", workspace, "R0000003", "--json")
        assert done.exit_code == 0, done.exception
        assert "not deployed yet: what the workspace names" in done.stderr.replace("\n", " ")
        assert not (workspace / "records.db").exists()

    def test_once_something_was_deployed_they_may_not_be_gone(self, trained, tmp_path):
        """What customers refused would be gone with them."""
        with bank_of(trained, tmp_path) as bank:
            workspace = bank.workspace
        for path in workspace.glob("records.db*"):
            path.unlink()
        done = run("campaign", workspace, "--products", PRODUCTS, "--size", 5, "--out", tmp_path / "list.csv")
        assert isinstance(done.exception, NotReady)
        assert "the records were taken away" in str(done.exception)
        assert not (tmp_path / "list.csv").exists()


def test_a_change_that_cannot_be_put_on_record_has_no_effect(trained, tmp_path, monkeypatch):
    """Broken before: the swap was answered 503, and every worker had changed."""
    with bank_of(trained, tmp_path, access={"single_person": True}) as bank:
        before = current(bank.workspace)
        edit_policy(bank.workspace, "another")
        whole = Records.append

        async def away(self, entries):
            if any(entry.kind == "deployment" for entry in entries):
                raise RecordsUnavailable("the database is away")
            return await whole(self, entries)

        with monkeypatch.context() as patched:
            patched.setattr(Records, "append", away)
            assert bank.post("/v1/admin/swap", json={"policy": "current"}).status_code == 503
            assert bank.post("/v1/admin/rollback").status_code in (404, 503)
        assert current(bank.workspace) == before
        made = bank.post("/v1/admin/swap", json={"policy": "current"}).json()
        assert made["number"] == before.number + 1
    records = Records.open(bank.workspace, RecordsConfig(), writable=False)
    numbers = [orjson.loads(entry.payload)["deployment"]["number"] for entry in records.newest(9, kind="deployment")]
    records.close()
    assert numbers == [1, 2]  # the one of the start too
