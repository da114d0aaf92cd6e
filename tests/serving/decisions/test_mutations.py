"""The search of `test_against_oracle` has the power to find a rule that is off by one step.

Each mutation moves one figure of a policy by one step, or takes one rule away. The decisions on the search's own kind
of cases must change: then a decision made by the mutated rule would differ from the oracle's, and the search would say
so. A mutation that nothing notices is a rule that no test holds.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from serving.decisions import Policy

from .random_policies import compiled, decided, random_case

pytestmark = pytest.mark.slow

CASES = 150
"""As many as the search draws."""

ARRAYS = ("products", "excluded", "triggers", "service_actions", "steps", "values", "contexts", "levers", "priorities")

Content = dict[str, Any]


def each(section: str, change: Callable[[Content], None]) -> Callable[[Content], None]:
    """Change every rule of a section, named by its keys."""

    def mutate(content: Content) -> None:
        found: Any = content
        for key in section.split("."):
            found = found[key]
            if found is None:
                return
        for rule in found if isinstance(found, list | tuple) else [found]:
            change(rule)

    return mutate


def by(key: str, step: float) -> Callable[[Content], None]:
    def change(rule: Content) -> None:
        if rule.get(key) is not None:
            rule[key] += step

    return change


def times(key: str, factor: float) -> Callable[[Content], None]:
    def change(rule: Content) -> None:
        if rule.get(key) is not None:
            rule[key] *= factor

    return change


def to(key: str, value: Any) -> Callable[[Content], None]:
    def change(rule: Content) -> None:
        if rule.get(key) is not None:
            rule[key] = value

    return change


def next_scope(rule: Content) -> None:
    scopes = ["product", "family", "channel", "all"]
    rule["scope"] = scopes[(scopes.index(rule["scope"]) + 1) % 4]


def lose_highest_rating(pack: Content) -> None:
    pack["allowed"] = {level: list(ratings)[:-1] for level, ratings in pack["allowed"].items()}


def a_day_less(lever: Content) -> None:
    lever["expires"] -= timedelta(days=1)


def raise_less(trigger: Content) -> None:
    if trigger.get("raises"):
        trigger["raises"]["weight"] = 1 + (trigger["raises"]["weight"] - 1) / 2


def anybody(rule: Content) -> None:
    """Widen a scope to all that its other dimensions leave."""
    for dimension in ("tier", "kind", "life_stage", "channel"):
        rule["scope"][dimension] = ()


PACK = "suitability.pack"
MUTATIONS: dict[str, Callable[[Content], None]] = {
    "min_age + 1": each("eligibility", by("min_age", 1)),
    "max_age - 1": each("eligibility", by("max_age", -1)),
    "min_balance + 1": each("eligibility", by("min_balance", 1)),
    "no min_tier": each("eligibility", to("min_tier", None)),
    "no requires": each("eligibility", to("requires", ())),
    "no excludes": each("eligibility", to("excludes", ())),
    "conditions for anybody": each("eligibility", anybody),
    "matrix": each(PACK, lose_highest_rating),
    "valid_days + 1": each(PACK, by("valid_days", 1)),
    "elderly age + 1": each(f"{PACK}.elderly", by("from_age", 1)),
    "elderly rating": each(f"{PACK}.elderly", to("from_rating", "R1")),
    "funds min_assets + 1": each(f"{PACK}.funds", by("min_assets", 1)),
    "funds debts": each(f"{PACK}.funds", times("max_debt_to_assets", 0.5)),
    "client asked allows nothing": each(f"{PACK}.client_asked", to("allows", ())),
    "no level barred": each(f"{PACK}.client_asked", to("barred_levels", ())),
    "no rated families": each("suitability", to("rated_families", ())),
    "marketing without record": each("consent", to("marketing_without_record", "refused")),
    "personalisation without record": each("consent", to("personalisation_without_record", "refused")),
    "contacts times + 1": each("contact_policy.rules", lambda rule: by("times", 1)(rule["after"])),
    "contacts within - 1": each("contact_policy.rules", lambda rule: by("within_days", -1)(rule["after"])),
    "silent_days - 1": each("contact_policy.rules", by("silent_days", -1)),
    "contact scope": each("contact_policy.rules", next_scope),
    "later after + 1": each("contact_policy.later", by("after_days", 1)),
    "later for - 1": each("contact_policy.later", by("for_days", -1)),
    "later weight": each("contact_policy.later", times("weight", 1.25)),
    "complaints ignored": each("contact_policy", to("open_complaint", "ignored")),
    "maturing within - 1": each("triggers.maturing", by("within_days", -1)),
    "inflow times": each("triggers.large_inflow", times("times", 1.125)),
    "inflow least + 1": each("triggers.large_inflow", by("least", 1)),
    "inflow periods": each("triggers.large_inflow", by("over_periods", -1)),
    "salary started": each("triggers.salary_started", by("within_periods", -1)),
    "salary stopped": each("triggers.salary_stopped", by("within_periods", -1)),
    "loan left": each("triggers.loan_nearly_repaid", times("left", 0.875)),
    "loan within - 1": each("triggers.loan_nearly_repaid", by("within_days", -1)),
    "falling to": each("triggers.balance_falling", times("to", 0.875)),
    "falling least + 1": each("triggers.balance_falling", by("least", 1)),
    "falling periods": each("triggers.balance_falling", by("over_periods", -1)),
    "next tier within": each("triggers.next_tier", times("within", 0.5)),
    "birthday within - 1": each("triggers.life_stage_birthday", by("within_days", -1)),
    "triggers raise less": lambda content: [raise_less(t) for t in content["triggers"].values() if t],  # type: ignore[func-returns-value]
    "floors": each("floors", times("floor", 1.5)),
    "context weights": each("context", times("weight", 1.125)),
    "lever factors": each("levers", times("factor", 0.875)),
    "lever expires a day earlier": each("levers", a_day_less),
    "ramp evidence": each("arbitration.ramp", by("evidence", 1)),
    "ramp weight": each("arbitration.ramp", times("weight", 1.125)),
    "highest context": each("arbitration", lambda a: a.update(context_limits=(a["context_limits"][0], 1.0))),
    "lowest context": each("arbitration", lambda a: a.update(context_limits=(1.0, a["context_limits"][1]))),
    "tiers begin later": lambda content: content.update(
        tiers={tier: None if assets is None else assets * 2 for tier, assets in content["tiers"].items()}
    ),
    "no debts": lambda content: content.update(debts=()),
    "cost of contact": lambda content: [by("cost", 1)(channel) for channel in content["channels"].values()],  # type: ignore[func-returns-value]
    "cost of minutes": lambda content: [by("cost_per_minute", 1)(channel) for channel in content["channels"].values()],  # type: ignore[func-returns-value]
    "life stages a year later": lambda content: content.update(
        life_stages={
            name: stage | {"from_age": stage["from_age"] + 1} for name, stage in content["life_stages"].items()
        }
    ),
}


@cache
def case_of(number: int):
    case = random_case(number)
    return case, decided(case, compiled(case))


def mutated(policy: Policy, mutate: Callable[[Content], None]) -> Policy | None:
    """None where the mutation changes nothing, or what comes of it is refused."""
    content = policy.model_dump()
    assert Policy.model_validate(as_written(content)) == policy  # so that nothing but the mutation differs
    mutate(content)
    if content == policy.model_dump():
        return None
    try:
        return Policy.model_validate(as_written(content))
    except ValidationError:
        return None


def as_written(content: Any, key: str = "") -> Any:
    """As a file has it: what is not given is not there, and a scope is called ``for``."""
    if isinstance(content, dict):
        kept = {
            k: as_written(v, k)
            for k, v in content.items()
            if key in ("allowed", "tiers") or k in ("later", "ramp") or v not in ((), [], None)
        }
        return {("for" if k == "scope" and isinstance(v, dict) else k): v for k, v in kept.items()}
    return [as_written(one) for one in content] if isinstance(content, list | tuple) else content


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_that_is_off_by_a_step_is_noticed(name):
    tried = 0
    for number in range(CASES):
        case, before = case_of(number)
        policy = mutated(case.policy, MUTATIONS[name])
        if policy is None:
            continue
        tried += 1
        after = decided(case, compiled(case, policy))
        if any(not np.array_equal(getattr(after, array), getattr(before, array)) for array in ARRAYS):
            return
    pytest.fail(f"nobody noticed in {tried} policies")
