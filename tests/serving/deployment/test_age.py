"""States of long ago are warned of and, where the bank says so, not decided from: by nobody."""

import asyncio
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from serving.commands.main import app
from serving.decisions.policy.loading import POLICY_FILE
from serving.deployment import door
from serving.deployment.age import AgeLimits, StatesTooOld, age_days
from tests.serving.api.bank import assert_problem, bank_of
from tests.serving.later import CLOCK, StoppedClock, on

AGE = 60
ALONE = {"single_person": True}


@pytest.fixture(scope="module")
def today(engine):
    """`AGE` days after the last of which the states know."""
    return date.fromisoformat(engine.states.manifest.known_to) + timedelta(AGE)


@pytest.fixture
def of_today(engine, today):
    return on(engine, today)


def test_age_is_counted_from_the_last_day_that_the_tables_told_of(engine, of_today):
    assert age_days(of_today) == AGE
    assert age_days(on(engine, date(1999, 1, 1))) == 0


@pytest.mark.parametrize(
    ("warn", "refuse", "warned", "refused"),
    [
        (AGE, AGE, False, False),  # beyond, not at
        (AGE - 1, AGE, True, False),
        (AGE - 1, AGE - 1, True, True),
        (0, AGE - 1, False, True),
        (0, 0, False, False),
    ],
)
def test_limits(of_today, warn, refuse, warned, refused):
    limits = AgeLimits(warn, refuse)
    assert (limits.warning(of_today) is not None) is warned
    if refused:
        with pytest.raises(StatesTooOld, match=rf"{AGE} days ago.*older than {refuse} days"):
            limits.check(of_today)
    else:
        limits.check(of_today)


def test_who_decides_for_the_datas_day_is_not_bound(engine):
    assert engine.policy.policy.decision_day == "as_of"
    limits = AgeLimits(1, 1)
    limits.check(engine)
    assert limits.warning(engine) is None


@pytest.fixture
def bank(trained, tmp_path, today):
    """Opens a bank whose policy decides for today, and it is `today`."""
    opened = []

    def begin(**settings):
        opened.append(bank_of(trained, tmp_path, clock=StoppedClock(CLOCK.zone, today), access=ALONE, **settings))
        bank = opened[-1].__enter__()
        policy = bank.workspace / POLICY_FILE
        text = policy.read_text("utf-8").replace("decision_day: as_of", "decision_day: today")
        assert "decision_day: today" in text
        policy.write_text(text, "utf-8")
        assert bank.post("/v1/admin/swap", json={"policy": "current"}).status_code == 200
        return bank

    yield begin
    for each in opened:
        each.__exit__(None, None, None)


def test_the_service_warns(bank):
    warned = bank(warn_states_age_days=AGE - 1)
    customer = warned.engine.states.customer_id(0)
    assert warned.get(f"/v1/customers/{customer}/recommendations").status_code == 200
    ready = warned.get("/readyz").json()
    assert ready["status"] == "ready"
    assert [f"{AGE} days ago" in warning for warning in ready["warnings"]] == [True]


def test_the_service_says_how_old_they_are(bank):
    aged = bank()

    aged.run(asyncio.sleep(1.2))  # told once a second
    assert f"nextproduct_states_age_days {AGE:.1f}" in aged.get("/metrics").text


def test_the_service_refuses_to_decide(bank):
    refusing = bank(refuse_states_age_days=AGE - 1)
    states = refusing.engine.states
    customer, product = states.customer_id(0), states.catalogue.product_ids[0]
    asked = {"customer_ids": [customer]}
    for answer in (
        refusing.get(f"/v1/customers/{customer}/recommendations"),
        refusing.get(f"/v1/customers/{customer}/products/{product}/why-not"),
        refusing.post("/v1/recommendations:batch", json=asked),
        refusing.get("/v1/book", params={"rm_id": "RM-B000000-1"}),
        refusing.get("/readyz"),
    ):
        assert_problem(answer, 503, f"{AGE} days ago", "nextproduct build")
    assert refusing.service.records.newest(10, kind="decision") == []
    assert refusing.get(f"/v1/customers/{customer}").status_code == 200  # what is known is shown
    assert refusing.get("/v1/model").status_code == 200


def commands(workspace, customer, product):
    policy = workspace / POLICY_FILE
    return [
        ["recommend", workspace, customer],
        ["why-not", workspace, customer, product],
        ["campaign", workspace, "--products", product, "--size", 5, "--out", workspace / "list.csv"],
        ["policy", "diff", policy, policy, "--on", workspace],
        ["policy", "levers", workspace],
        ["policy", "fairness", workspace],
    ]


@pytest.mark.parametrize("refuse", [False, True])
def test_commands(bank, today, monkeypatch, refuse):
    days = AGE - 1 if refuse else AGE
    opened = bank()
    workspace, states = opened.workspace, opened.engine.states
    settings = f"[serving]\nwarn_states_age_days = {AGE - 1}\nrefuse_states_age_days = {days}\n"
    (workspace / "nextproduct.toml").write_text(settings, "utf-8")
    monkeypatch.setattr(door, "clock_of", lambda path: StoppedClock(CLOCK.zone, today))
    for words in commands(workspace, states.customer_id(0), "fund_money"):
        done = CliRunner().invoke(app, [str(word) for word in words])
        if refuse:
            assert isinstance(done.exception, StatesTooOld), (words, done.output)
        else:
            assert done.exit_code == 0, (words, done.output, done.exception)
            assert "Warning: the states in use know of nothing after" in done.stderr
    assert (workspace / "list.csv").exists() is not refuse
