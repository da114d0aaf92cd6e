"""What tests of simulations share: hand-made scores, and policies in use on the states of a workspace."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from features import CustomerBlock, CustomerStates, blocks_of
from serving.decisions import CompiledPolicy, FreshEvents, Policy, Score
from serving.decisions.policy.loading import parse_policy
from serving.decisions.policy.marked_yaml import parse_document
from serving.simulation.outcomes import simulated
from serving.simulation.scenarios import Scenario

LIMIT = 3
EVIDENCE = 50


POLICY = """
policy: bank
version: "1"
owner: Retail risk, J. Lin
decision_day: as_of
tiers: {ordinary: , vip: 100_000, wealth: 500_000, private: 4_000_000}
debts: [loans, cards, bills]
channels:
  rm: {cost: 6, cost_per_minute: 2}
  phone: {cost: 3, cost_per_minute: 1}
  sms: {cost: 0.05}
  app: {}
life_stages:
  family: {from_age: 30, to_age: 45}
  retired: {from_age: 60, to_age: 150}
attributes: {not_spoken: [gender], not_used: [region]}
eligibility:
  - {rule: cards-from-20, for: {family: cards, kind: retail}, min_age: 20}
  - {rule: insurance-with-savings, for: {family: insurance}, min_balance: 5_000}
  - rule: insurance-ordinary
    for: {family: insurance, tier: ordinary}
    note: Not for those who may need the money.
    min_balance: 20_000
  - {rule: equity-through-the-app, for: {product: fund_equity}, requires: mobile_banking}
suitability: {pack: china, rated_families: [wealth, funds, bonds, securities, trust, gold]}
contact_policy:
  rules:
    - {rule: declined, after: {outcome: declined}, silent_days: 90, scope: product}
    - {rule: contacted-about-it, after: {outcome: contacted}, silent_days: 14, scope: product}
    - {rule: three-contacts, after: {outcome: contacted, times: 3, within_days: 92}, silent_days: 30, scope: all}
triggers:
  maturing: {family: [deposits, wealth], within_days: 30, raises: {family: [deposits, wealth], weight: 1.5}}
  next_tier: {within: 0.1, kind: retail, raises: {family: [wealth, insurance], weight: 1.3}}
service_actions:
  - {action: maturity-notice, when: maturing, text: Something matures., text_zh: 有产品即将到期。}
floors:
  - {rule: worth-a-call, floor: 0.0005}
context:
  - {rule: bonds-for-the-retired, for: {family: bonds, life_stage: retired}, weight: 1.2}
  - {rule: advised-clients, for: {family: [trust, insurance], tier: [wealth, private], channel: rm}, weight: 1.2}
levers:
  - {rule: pension-push, for: {product: personal_pension}, factor: 1.5, owner: Pensions, expires: 2026-09-30}
  - {rule: gold-push, for: {family: gold}, factor: 2, owner: Metals, expires: 2026-06-30}
  - {rule: app-push, for: {family: channels, channel: app}, factor: 1.3, owner: Digital, expires: 2026-12-31}
  - {rule: spring-push, for: {product: mobile_banking}, factor: 1.3, owner: Digital, expires: 2026-06-29}
fairness: {attributes: [gender, age, occupation, income, region], by_family: {loans: {rate_ratio: 0.9, gini: 0.2}}}
"""
"""Of the synthetic bank, whose states end on 2026-06-30."""


def bank_policy(**sections: object) -> Policy:
    """`POLICY`, with some sections in place of its own."""
    document = parse_document(Path("policy.yaml"), POLICY.encode(), "a policy")
    return parse_policy(document).policy.model_copy(update=sections)


def hand_made(block: CustomerBlock, salt: str = "") -> np.ndarray:
    """Propensities that go by ids alone: a customer has the same ones in any states; 0 for what is no candidate."""
    products = block.states.catalogue.product_ids
    ids = [block.states.customer_id(position) for position in block.positions]
    drawn = [[zlib.crc32(f"{salt}/{one}/{product}".encode()) % 1000 for product in products] for one in ids]
    return np.where(block.candidates, np.array(drawn, dtype=np.float32) / 10_000, np.float32(0))


def compiled(policy: Policy, states: CustomerStates, period: int | None = None) -> CompiledPolicy:
    evidence = np.full(len(states.catalogue), EVIDENCE, dtype=np.int64)
    return CompiledPolicy.of(policy, states, states.as_of_period if period is None else period, evidence)


def scenarios_on(
    states: CustomerStates,
    score_for: Callable[[Policy], Score] = lambda policy: hand_made,
    *,
    channel: str | None = None,
    day: date | None = None,
) -> Callable[[Policy], Scenario]:
    """From a policy to its use at the newest period."""
    return lambda policy: Scenario.of(compiled(policy, states), score_for(policy), channel=channel, day=day)


def in_blocks_of(size: int, monkeypatch) -> None:
    """Let streams come in small blocks."""
    monkeypatch.setattr("serving.simulation.scenarios.blocks_of", partial(blocks_of, size=size))


def simulate(score, policies, context=None, *, limit, fresh=None):
    """What each of `policies` would have offered, by default through its first channel on its last day."""
    happened = FreshEvents.none() if fresh is None else fresh
    return simulated(
        [
            Scenario.of(policy, score, fresh=happened)
            if context is None
            else Scenario(policy, context, score, happened)
            for policy in policies
        ],
        limit=limit,
    )
