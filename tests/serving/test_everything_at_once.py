"""Events, feedback, swaps, roll-backs, erasures, restarts and builds in any order, through service and commands side by
side: the same decisions everywhere, nothing decided by what was rolled back, nobody who refused is ever offered
anything."""

import asyncio
import json
import shutil
from collections import Counter
from functools import partial

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typer.testing import CliRunner

from features.build import build_states
from features.states import current_states, switch_to
from serving.access import create_demo_key
from serving.commands.main import app
from serving.decisions.policy.loading import POLICY_FILE
from serving.deployment import current
from tests.proof import count
from tests.serving.api.bank import Bank
from tests.training.banks import synthetic_tables

LIMIT = 4
COST = "rm: {cost: 6, cost_per_minute: 2}"
TRIED = Counter()
"""How often each thing was done: hypothesis leaves some out of each example."""
SAMPLE = 6
"""Customers who are looked at after every step."""


@pytest.fixture(scope="module")
def prepared(trained, session_folder, tmp_path_factory):
    """A workspace with two builds, the newer in use, and the demonstration's key; read only."""
    workspace = tmp_path_factory.mktemp("everything") / "workspace"
    shutil.copytree(trained, workspace)
    newer = current_states(workspace)
    build_states(synthetic_tables(session_folder), workspace, as_of=newer.calendar.end_of(newer.as_of_period - 1))
    switch_to(workspace, newer.manifest.build_id)
    create_demo_key(workspace)
    return workspace


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


class EverythingAtOnce(RuleBasedStateMachine):
    """A service, the commands beside it, and somebody who remembers who refused and what was put into use."""

    def __init__(self, prepared, folder):
        super().__init__()
        self.workspace = shutil.copytree(prepared, folder / f"{len(list(folder.iterdir()))}")
        self.bank = Bank(self.workspace, access={"single_person": True})
        self.refused = {}
        self.in_use = []
        self.erased = set()

    def teardown(self):
        if self.bank is not None:
            self.bank.__exit__()
        shutil.rmtree(self.workspace)

    @initialize()
    def begin(self):
        self.bank.__enter__()
        self.in_use.append(self.used())
        states = self.bank.engine.states
        offered = [
            states.customer_id(position)
            for position in range(0, states.n_customers, 5)
            if self.bank.engine.recommend(states.customer_id(position), LIMIT).suggestions
        ]
        self.customers = offered[:SAMPLE]

    def used(self):
        made = current(self.workspace)
        return made.model, made.states, made.policy_digest

    def asked(self, customer_id):
        answer = self.bank.get(f"/v1/customers/{customer_id}/recommendations", params={"limit": LIMIT})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tell(self, **said):
        answer = self.bank.post("/v1/events", json=said)
        assert answer.status_code in (201, 202, 422), answer.text
        return answer.status_code == 201 and answer.json()["counts_from"] is not None

    # ------------------------------------------------------------------------------------------------- what happens

    @rule(who=st.integers(0, SAMPLE - 1), granted=st.booleans(), channel=st.sampled_from([None, "rm", "phone"]))
    def consent(self, who, granted, channel):
        customer_id = self.customers[who]
        TRIED["consent"] += 1
        said = {"kind": "consent", "purpose": "marketing", "granted": granted}
        counts = self.tell(customer_id=customer_id, channel=channel, **said)
        if not granted:
            assert counts
            self.refused.setdefault(customer_id, set()).add(channel)

    @rule(who=st.integers(0, SAMPLE - 1), amount=st.sampled_from([-1000.0, 2e6]))
    def money(self, who, amount):
        TRIED["money"] += 1
        self.tell(customer_id=self.customers[who], kind="balance_jump", amount=amount)

    @rule(who=st.integers(0, SAMPLE - 1), kind=st.sampled_from(["complaint_opened", "complaint_resolved"]))
    def complaint(self, who, kind):
        TRIED["complaint"] += 1
        self.tell(customer_id=self.customers[who], kind=kind)

    @rule(who=st.integers(0, SAMPLE - 1), outcome=st.sampled_from(["accepted", "declined"]), opens=st.booleans())
    def feedback(self, who, outcome, opens):
        TRIED["feedback"] += 1
        decision = self.asked(self.customers[who])
        if not decision["recommendations"]:
            return
        product = decision["recommendations"][0]["product_id"]
        said = {"decision_id": decision["decision_id"], "product_id": product, "outcome": outcome}
        assert self.bank.post("/v1/feedback", json=said).status_code == 201
        if outcome == "declined":
            after = [each["product_id"] for each in self.asked(self.customers[who])["recommendations"]]
            assert product not in after
        elif opens:
            assert self.tell(customer_id=self.customers[who], kind="opened", product_id=product)

    # -------------------------------------------------------------------------------------------- what is put into use

    @rule(cost=st.integers(6, 9))
    def another_policy(self, cost):
        TRIED["another_policy"] += 1
        path = self.workspace / POLICY_FILE
        text = path.read_text(encoding="utf-8")
        before = next(line for line in text.splitlines() if line.strip().startswith("rm: {cost"))
        path.write_text(text.replace(before.strip(), COST.replace("6", str(cost), 1)), encoding="utf-8")

    @rule(which=st.integers(0, 1))
    def another_build(self, which):
        TRIED["another_build"] += 1
        builds = sorted(path.parent.name for path in (self.workspace / "states").glob("*/manifest.json"))
        switch_to(self.workspace, builds[which])

    @rule()
    def swap(self):
        TRIED["swap"] += 1
        assert self.bank.post("/v1/admin/swap", json={}).status_code == 200
        self.follow()
        self.in_use.append(self.used())

    @precondition(lambda self: len(set(self.in_use)) > 1)
    @rule()
    def roll_back(self):
        TRIED["roll_back"] += 1
        answer = self.bank.post("/v1/admin/rollback")
        assert answer.status_code in (200, 404), answer.text
        self.follow()

    @rule()
    def restart(self):
        TRIED["restart"] += 1
        self.bank.__exit__()
        self.bank = Bank(self.workspace, access={"single_person": True})
        self.bank.__enter__()

    @rule(who=st.integers(0, SAMPLE - 1))
    def erase(self, who):
        TRIED["erase"] += 1
        done = run("log", "erase", self.workspace, self.customers[who], "--reason", "asked", "--yes")
        assert done.exit_code == 0 or "nothing of customer" in str(done.exception), done.exception

    def follow(self):
        """Until the worker has what is in use."""
        wanted = current(self.workspace).number
        while self.bank.service.in_use.get().deployment.number != wanted:
            self.bank.run(_turn())

    # ------------------------------------------------------------------------------------------------ what always holds

    @invariant()
    def the_same_everywhere(self):
        if not hasattr(self, "customers"):
            return
        out = self.workspace / "list.csv"
        products = ",".join(self.bank.engine.states.catalogue.product_ids)
        listed = run("campaign", self.workspace, "--products", products, "--size", 10**6, "--out", out)
        assert listed.exit_code == 0, listed.exception
        offers = pd.read_csv(out).set_index("customer_id")["product_id"]
        model, states, digest = self.used()
        for customer_id in self.customers:
            service = self.asked(customer_id)
            versions = service["versions"]
            assert (versions["model"], versions["states"], versions["policy"].rpartition("#")[2]) == (
                model, states, digest,
            )  # fmt: skip
            first = service["recommendations"][0]["product_id"] if service["recommendations"] else None
            listed_for = offers.get(customer_id)
            assert listed_for == first or not service["personalised"], customer_id
            if self.refused.get(customer_id, set()) & {None, "rm"}:
                assert service["recommendations"] == []
                assert listed_for is None
        command = run("recommend", self.workspace, self.customers[0], "--limit", LIMIT, "--json")
        assert command.exit_code == 0, command.exception
        service = self.asked(self.customers[0])
        assert json.loads(command.stdout) == {name: said for name, said in service.items() if name != "decision_id"}


async def _turn():
    await asyncio.sleep(0.02)


@pytest.mark.proof
def test_in_any_order(prepared, tmp_path):
    TRIED.clear()
    run_state_machine_as_test(
        partial(EverythingAtOnce, prepared, tmp_path),
        settings=settings(
            max_examples=count(10, proof=200),
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert set(TRIED) == {
        "consent", "money", "complaint", "feedback", "another_policy", "another_build", "swap", "roll_back", "restart",
        "erase",
    }  # fmt: skip
