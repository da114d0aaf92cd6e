"""What tests of reasons and of their words share: a policy that says everything, and contributions made by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import yaml

from features import CustomerBlock, CustomerStates, block_of, feature_set_of
from serving.decisions import CompiledPolicy, Context, Decisions, Policy, decide
from serving.decisions.policy.loading import load_policy, standard_policy_path
from serving.decisions.reasons.spoken import reasons_for
from training import Bundle
from training.models.association_rules import Rule

TRIGGERS = """
maturing: {family: [deposits, wealth], within_days: 90, raises: {family: [deposits, wealth, funds], weight: 1.5}}
large_inflow: {least: 2000, times: 2, raises: {family: [deposits, wealth, funds, cards], weight: 1.6}}
salary_started: {product: payroll, within_periods: 6, raises: {family: [cards, deposits, channels], weight: 1.7}}
salary_stopped: {product: payroll, within_periods: 12, raises: {family: [cards, deposits, loans], weight: 1.7}}
loan_nearly_repaid: {family: [loans], left: 0.5, raises: {family: [loans, cards], weight: 1.8}}
balance_falling: {least: 1000, raises: {family: [deposits, wealth], weight: 1.9}}
next_tier: {within: 0.4, raises: {family: [deposits, wealth, funds], weight: 2.0}}
life_stage_birthday:
  {ages: [18, 25, 30, 40, 50, 60], within_days: 90, raises: {family: [insurance, pension, deposits], weight: 2.1}}
"""

TIERS = {"ordinary": None, "vip": 50_000, "wealth": 500_000, "private": 6_000_000}


@cache
def _standard() -> dict:
    return load_policy(standard_policy_path()).policy.model_dump(by_alias=True, exclude_unset=True)


def policy_with(**attributes: list[str]) -> Policy:
    """The standard policy with every trigger, under which everything raises something."""
    content = _standard() | {"debts": ["loans"], "tiers": TIERS, "attributes": attributes}
    content["triggers"] = yaml.safe_load(TRIGGERS)
    return Policy.model_validate(content)


@dataclass
class Explained:
    """Contributions of one customer, made by hand."""

    features: np.ndarray
    models: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Said:
    """The same rule of everybody, for every product."""

    lifts: np.ndarray
    said: Rule

    def rule(self, row: int, place: int) -> Rule:
        return self.said


@dataclass
class HandMade:
    """A bundle that says what it is told to.

    Attributes
    ----------
    features : name -> what it adds, to every product
    models : name -> what it adds, to every product
    """

    states: CustomerStates
    features: dict[str, float] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    rule: Rule | None = None
    calls: int = 0

    def contributions(self, block: CustomerBlock, products: np.ndarray) -> Explained:
        self.calls += 1
        assert block.n_customers == len(products) == 1
        shape = products.shape
        names = feature_set_of(self.states).names
        features = np.zeros((*shape, len(names)))
        for name, value in self.features.items():
            features[..., names.index(name)] = value
        return Explained(features, {name: np.full(shape, value) for name, value in self.models.items()})

    def strongest_rules(self, block: CustomerBlock, products: np.ndarray) -> Said | None:
        return None if self.rule is None else Said(np.full(products.shape, self.rule.lift), self.rule)


@dataclass
class Desk:
    """A bundle, and the policy under which it is asked for decisions and reasons."""

    bundle: Bundle
    states: CustomerStates
    policy: CompiledPolicy
    period: int

    @classmethod
    def of(cls, bundle: Bundle, states: CustomerStates, policy: Policy) -> Desk:
        period = states.as_of_period
        compiled = CompiledPolicy.of(policy, states, period, np.full(len(states.catalogue), 500))
        return cls(bundle, states, compiled, period)

    def context(self, *asked: str) -> Context:
        return Context("rm", self.states.calendar.end_of(self.period), asked)

    def block(self, *positions: int) -> CustomerBlock:
        return block_of(self.states, np.array(positions, dtype=np.int64), self.period)

    def decide(self, block: CustomerBlock, *asked: str, limit: int = 3) -> Decisions:
        return decide(self.bundle.propensities(block), block, self.policy, self.context(*asked), limit=limit)

    def reasons(self, position: int, *asked: str, bundle=None, most: int = 3):
        """Product and reasons of each offer to one customer."""
        block = self.block(position)
        decisions = self.decide(block, *asked)
        found = reasons_for(
            bundle or self.bundle, block, decisions, self.policy, 0, most=most, context=self.context(*asked)
        )
        return list(zip(decisions.products[0].tolist(), found, strict=False))

    def reasons_of(self, positions, *, bundle=None, most: int = 3):
        """Position, product and reasons of each offer to some customers, decided together."""
        block = self.block(*positions)
        decisions = self.decide(block)
        for row, position in enumerate(positions):
            found = reasons_for(
                bundle or self.bundle, block, decisions, self.policy, row, most=most, context=self.context()
            )
            for product, reasons in zip(decisions.products[row].tolist(), found, strict=False):
                yield position, product, reasons


_BROKEN = r"(?<![A-Za-z])(nan|inf|None)(?![A-Za-z])|\de[+-]?\d|¥¥|元元|-0(?![.\d])|[,，]$"


def check_wellformed(text: str, text_zh: str) -> None:
    """Neither empty nor broken; Chinese in Chinese punctuation."""
    for words in (text, text_zh):
        assert words
        assert words == words.strip()
        assert "_" not in words
        assert "  " not in words
        assert not re.search(_BROKEN, words), words
    assert text[0].isupper() or text[0] in "¥-" or text[0].isdigit() or not text[0].isascii(), text
    assert re.search(r"[\u4e00-\u9fff]", text_zh), text_zh
    assert not re.search(r"[;,](?!\d{3})", text_zh), text_zh


def check_chinese(text_zh: str, names: set[str]) -> None:
    """No English words but `names`."""
    for name in sorted(names, key=len, reverse=True):
        text_zh = text_zh.replace(name, "")
    assert not re.search(r"[A-Za-z]{2,}", text_zh), text_zh
