"""A policy's scoped rules, resolved for a bank's products and groups of customers, as tables to look up.

A group is a kind, a tier and a stage of life, each with one more for "none": what a rule may name of a customer. So
forty rules cost a decision no more than four.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import Calendar, Catalogue
from features.catalogue import Product
from features.contracts import KINDS

from ..policy.schema import Policy
from ..policy.sections import ContextWeight, Floor, Lever, Rule, Scope

UNMET = np.int16(32_000)
"""The rank of a tier that the policy does not define: nobody has it."""


@dataclass(frozen=True)
class Groups:
    """The groups of customers that a policy tells apart.

    Attributes
    ----------
    tiers : from the lowest to the highest
    stages : names of the stages of life
    from_ages, to_ages : float32, shape (n_stages,); completed years
    """

    tiers: tuple[str, ...]
    stages: tuple[str, ...]
    from_ages: NDArray[np.float32]
    to_ages: NDArray[np.float32]

    @classmethod
    def of(cls, policy: Policy) -> Groups:
        """The groups of `policy`."""
        stages = policy.life_stages.values()
        return cls(
            tuple(policy.tiers),
            tuple(policy.life_stages),
            np.array([stage.from_age for stage in stages], dtype=np.float32),
            np.array([stage.to_age for stage in stages], dtype=np.float32),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kinds, tiers and stages, each with one more for none."""
        return len(KINDS) + 1, len(self.tiers) + 1, len(self.stages) + 1

    @property
    def size(self) -> int:
        """How many groups there are."""
        return int(np.prod(self.shape))

    def in_scope(self, scope: Scope) -> NDArray[np.bool_]:
        """Shape (size,): the groups that `scope` speaks of."""
        parts = [
            _named(scope.kind, KINDS),
            _named(scope.tier, self.tiers),
            _named(scope.life_stage, self.stages),
        ]
        return (parts[0][:, None, None] & parts[1][:, None] & parts[2]).ravel()

    def number(self, kind: int, tier: int, stage: int) -> int:
        """The group of a kind, a tier and a stage; the last index of each is none."""
        return int(np.ravel_multi_index((kind, tier, stage), self.shape))


def products_in(scope: Scope, catalogue: Catalogue) -> NDArray[np.bool_]:
    """Shape (n_products,): the products that `scope` speaks of."""
    return np.array(
        [
            (not scope.product or product.product_id in scope.product)
            and (not scope.family or product.family in scope.family)
            for product in catalogue.products
        ],
        dtype=np.bool_,
    )


class EligibilityTables(NamedTuple):
    """Conditions by group and product; all of shape (n_groups, n_products) but the lists.

    Attributes
    ----------
    min_ages, max_ages : float32; completed years, -inf and inf where there is no condition
    min_tiers : int16; rank, -1: none, `UNMET`: of a tier that the policy does not define
    min_balances : float32; -inf: none
    requires, excludes : int16; number of a list of products
    list_starts : int32, shape (n_lists + 1,); where each list begins
    listed : int16; positions of products
    sold_to : bool, shape (n_kinds + 1, n_products)
    on_sale : bool, shape (n_products,)
    """

    min_ages: NDArray[np.float32]
    max_ages: NDArray[np.float32]
    min_tiers: NDArray[np.int16]
    min_balances: NDArray[np.float32]
    requires: NDArray[np.int16]
    excludes: NDArray[np.int16]
    list_starts: NDArray[np.int32]
    listed: NDArray[np.int16]
    sold_to: NDArray[np.bool_]
    on_sale: NDArray[np.bool_]


class ArbitrationTables(NamedTuple):
    """What priority is made of, by group and product: float64, shape (n_groups, n_products).

    Attributes
    ----------
    floors : least propensity
    contexts : context weights but those of triggers and of "later", the ramp included
    levers : within the ceiling
    """

    floors: NDArray[np.float64]
    contexts: NDArray[np.float64]
    levers: NDArray[np.float64]


def eligibility_tables(
    policy: Policy, catalogue: Catalogue, calendar: Calendar, groups: Groups, period: int, channel: str, day: date
) -> EligibilityTables:
    """The conditions of the catalogue and of `policy` for offers through `channel` on `day`."""
    n = len(catalogue)
    shape = groups.size, n
    tables: dict[str, NDArray] = {
        "min_age": np.full(shape, -np.inf, dtype=np.float32),
        "max_age": np.full(shape, np.inf, dtype=np.float32),
        "min_tier": np.full(shape, -1, dtype=np.int16),
        "min_balance": np.full(shape, -np.inf, dtype=np.float32),
    }
    rules = [rule for rule in policy.eligibility if _through(rule.scope, channel)]
    by_rule = {name: np.full(shape, -1, dtype=np.int16) for name in ("requires", "excludes")}
    for rule in sorted(rules, key=lambda rule: rule.scope.specificity):
        cells = np.ix_(groups.in_scope(rule.scope), products_in(rule.scope, catalogue))
        for setting, value in rule.settings.items():
            if setting in by_rule:
                by_rule[setting][cells] = rules.index(rule)
            else:
                tables[setting][cells] = _tier_rank(groups, value) if setting == "min_tier" else value
    strict: dict[str, Callable] = dict.fromkeys(tables, np.maximum) | {"max_age": np.minimum}
    for name, table in tables.items():
        strict[name](table, _of_catalogue(name, catalogue, groups, table.dtype), out=table)
    lists: dict[tuple[int, ...], int] = {(): 0}
    numbered = {
        name: _numbered(
            by_rule[name], [getattr(rule, name) for rule in rules], [getattr(p, name) for p in catalogue.products],
            catalogue, lists,
        )
        for name in by_rule
    }  # fmt: skip
    return EligibilityTables(
        tables["min_age"],
        tables["max_age"],
        tables["min_tier"],
        tables["min_balance"],
        numbered["requires"],
        numbered["excludes"],
        np.cumsum([0, *(len(one) for one in lists)]).astype(np.int32),
        np.array([position for one in lists for position in one], dtype=np.int16),
        np.vstack([catalogue.for_kind(), np.ones((1, n), dtype=np.bool_)]),
        catalogue.on_sale(calendar.end_of(period)) & catalogue.on_sale(day),
    )


def arbitration_tables(
    policy: Policy, catalogue: Catalogue, groups: Groups, evidence: NDArray[np.int64], channel: str, day: date
) -> ArbitrationTables:
    """Floors, weights and levers of offers through `channel` on `day`.

    Parameters
    ----------
    evidence : int64, shape (n_products,); acquisitions in what the models learned from
    """
    shape = groups.size, len(catalogue)
    floors, contexts, levers = np.zeros(shape), np.ones(shape), np.ones(shape)

    def cells(rule: Rule) -> tuple[NDArray, ...]:
        return np.ix_(groups.in_scope(rule.scope), products_in(rule.scope, catalogue))

    def through(rules: Iterable[Rule]) -> Iterable[Rule]:
        return [rule for rule in rules if _through(rule.scope, channel)]

    for rule in sorted(through(policy.floors), key=lambda rule: rule.scope.specificity):
        assert isinstance(rule, Floor)
        floors[cells(rule)] = rule.floor
    for rule in through(policy.context):
        assert isinstance(rule, ContextWeight)
        contexts[cells(rule)] *= rule.weight
    for rule in through(policy.levers):
        assert isinstance(rule, Lever)
        if day <= rule.expires:
            levers[cells(rule)] *= rule.factor
    ceiling, ramp = policy.arbitration.lever_ceiling, policy.arbitration.ramp
    if ramp is not None:
        share = np.minimum(evidence / ramp.evidence, 1.0)
        floors *= share
        contexts *= ramp.weight + (1 - ramp.weight) * share
    return ArbitrationTables(floors, contexts, np.clip(levers, 1 / ceiling, ceiling))


def _named(wanted: tuple[str, ...], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Shape (len(names) + 1,): which of `names`, and of none, a dimension of a scope speaks of."""
    return np.array([not wanted or name in wanted for name in names] + [not wanted], dtype=np.bool_)


def _through(scope: Scope, channel: str) -> bool:
    return not scope.channel or channel in scope.channel


def _tier_rank(groups: Groups, tier: str) -> np.int16:
    return np.int16(groups.tiers.index(tier)) if tier in groups.tiers else UNMET


def _of_catalogue(name: str, catalogue: Catalogue, groups: Groups, dtype: np.dtype) -> NDArray:
    """Shape (n_products,): a condition that the products table sets."""
    absent = {"min_age": -np.inf, "max_age": np.inf, "min_tier": -1, "min_balance": -np.inf}[name]

    def of(product: Product) -> object:
        value = getattr(product, name)
        if value is None:
            return absent
        return _tier_rank(groups, value) if name == "min_tier" else value

    return np.array([of(product) for product in catalogue.products], dtype=dtype)


def _numbered(
    by_rule: NDArray[np.int16],
    of_rules: list[tuple[str, ...]],
    of_products: list[tuple[str, ...]],
    catalogue: Catalogue,
    lists: dict[tuple[int, ...], int],
) -> NDArray[np.int16]:
    """The list of products, catalogue's and rule's together, of each group and product; `lists` grows with them."""
    numbers = np.zeros(by_rule.shape, dtype=np.int16)
    for product, own in enumerate(of_products):
        for rule in np.unique(by_rule[:, product]):
            names = {*own, *(of_rules[rule] if rule >= 0 else ())}
            known = tuple(sorted(catalogue.position_of(name) for name in names))
            numbers[by_rule[:, product] == rule, product] = lists.setdefault(known, len(lists))
    return numbers
