"""A policy's conditions and the products table's taken together: ages and holdings that nobody could have.

Each is looked at for every combination of tier, stage of life, kind and channel that rules tell apart, since a more
particular rule takes the place of another there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as combinations_of
from typing import Any

from features import Catalogue
from features.catalogue import Product
from features.contracts import KINDS

from .loading import LoadedPolicy
from .problems import Problem, listed
from .schema import Policy
from .sections import EligibilityRule

_TABLE = "the products table"

Cell = tuple[tuple[str, str | None], ...]
"""What a customer and an offer are: a value of each dimension but the product's; None: what no rule names."""


@dataclass(frozen=True)
class Condition:
    """A condition as it holds for one product in one cell.

    Attributes
    ----------
    rule : position of the rule that sets it; None: the products table does
    """

    value: Any
    rule: int | None
    source: str


def impossible_ages(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    """Products whose lowest age lies above the highest for some customers."""
    groups: dict[tuple[Condition, Condition, str], list[str]] = {}
    for product in catalogue.products:
        rules = _rules_for(loaded.policy, product, ("min_age", "max_age"))
        for cell in _cells(rules, product):
            lowest = _ages(rules, product, cell, "min_age")
            highest = _ages(rules, product, cell, "max_age")
            if not lowest or not highest:
                continue
            low, high = max(lowest, key=lambda one: one.value), min(highest, key=lambda one: one.value)
            if low.value > high.value:
                groups.setdefault((low, high, _in_words(loaded.policy, cell, low, high)), []).append(product.product_id)
    for (low, high, customers), products in groups.items():
        blamed, setting = (low, "min_age") if low.rule is not None else (high, "max_age")
        message = (
            f"nobody{customers} can be old enough and young enough for {listed(products)}: min_age {low.value:g} of "
            f"{low.source} is above max_age {high.value:g} of {high.source}"
        )
        yield _problem(loaded, blamed.rule, setting, message)


def impossible_holdings(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    """Products that require themselves, directly or in a circle, or something that excludes them."""
    yield from _contradicting_lists(loaded, catalogue)
    yield from _circles(loaded, catalogue)


def _contradicting_lists(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    seen = set()
    for product in catalogue.products:
        rules = _rules_for(loaded.policy, product, ("requires", "excludes"))
        for cell in _cells(rules, product):
            excluded = {one.value: one for one in _listed_products(rules, product, cell, "excludes")}
            for needed in _listed_products(rules, product, cell, "requires"):
                unwanted = excluded.get(needed.value)
                if unwanted is None or (product.product_id, needed, unwanted) in seen:
                    continue
                seen.add((product.product_id, needed, unwanted))
                blamed, setting = (needed, "requires") if needed.rule is not None else (unwanted, "excludes")
                customers = _in_words(loaded.policy, cell, needed, unwanted)
                message = (
                    f"nobody{customers} can have {product.product_id}: {needed.source} requires {needed.value!r} and "
                    f"{unwanted.source} excludes who has it"
                )
                yield _problem(loaded, blamed.rule, setting, message)


def _circles(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    by_product = {
        product.product_id: (product, _rules_for(loaded.policy, product, ("requires",)))
        for product in catalogue.products
    }
    everything = [numbered for _, rules in by_product.values() for numbered in rules]
    seen = set()
    for cell in _cells(list(dict(everything).items()), None):
        kind = dict(cell)["kind"]
        needs = {
            name: {one.value: one for one in _listed_products(rules, product, cell, "requires")}
            for name, (product, rules) in by_product.items()
            if product.customer_kind in (kind, "both")
        }
        for circle in _circles_in({name: list(needed) for name, needed in needs.items()}):
            steps = [needs[name][following] for name, following in zip(circle, circle[1:] + circle[:1], strict=True)]
            if (circle, tuple(steps)) in seen:
                continue
            seen.add((circle, tuple(steps)))
            sources = " and ".join(dict.fromkeys(step.source for step in steps))
            if len(circle) == 1:
                message = f"product {circle[0]!r} is required by itself, as {sources} has it: nobody could ever have it"
            else:
                round_trip = " requires ".join((*circle, circle[0]))
                message = f"{round_trip}, as {sources} have it: nobody could ever have the first of them"
            blamed = next((step.rule for step in steps if step.rule is not None), None)
            yield _problem(loaded, blamed, "requires", message)


def _circles_in(needs: dict[str, list[str]]) -> list[tuple[str, ...]]:
    """The shortest circle through each product that is in one, beginning with its first product by id."""
    found = set()
    for start in needs:
        circle = _way_back(start, needs)
        if circle:
            first = circle.index(min(circle))
            found.add((*circle[first:], *circle[:first]))
    return sorted(found)


def _way_back(start: str, needs: dict[str, list[str]]) -> list[str]:
    """The products from `start` to the one that requires it again; empty: none does."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        if start in needs.get(name, ()):
            way = [name]
            while way[-1] != start:
                way.append(came_from[way[-1]])
            return way[::-1]
        for following in needs.get(name, ()):
            if following not in came_from:
                came_from[following] = name
                waiting.append(following)
    return []


def _rules_for(policy: Policy, product: Product, settings: Sequence[str]) -> list[tuple[int, EligibilityRule]]:
    """The rules, with their positions, that set one of `settings` for `product`, the most particular first."""
    rules = [
        (index, rule)
        for index, rule in enumerate(policy.eligibility)
        if rule.settings.keys() & set(settings) and rule.scope.speaks_of(product)
    ]
    return sorted(rules, key=lambda numbered: -numbered[1].scope.specificity)


def _cells(rules: Sequence[tuple[int, EligibilityRule]], product: Product | None) -> Iterator[Cell]:
    named = {
        dimension: dict.fromkeys(name for _, rule in rules for name in getattr(rule.scope, dimension))
        for dimension in ("tier", "life_stage", "channel")
    }
    kinds = KINDS if product is None or product.customer_kind == "both" else (product.customer_kind,)
    for kind in kinds:
        stages = [*named["life_stage"], None] if kind == "retail" else [None]  # companies have no stage of life
        for tier, stage, channel in combinations_of([*named["tier"], None], stages, [*named["channel"], None]):
            yield ("tier", tier), ("life_stage", stage), ("kind", kind), ("channel", channel)


def _set_by(
    rules: Sequence[tuple[int, EligibilityRule]], cell: Cell, setting: str
) -> tuple[int, EligibilityRule] | None:
    for index, rule in rules:
        names = all(not getattr(rule.scope, name) or value in getattr(rule.scope, name) for name, value in cell)
        if setting in rule.settings and names:
            return index, rule
    return None


def _ages(rules: Sequence[tuple[int, EligibilityRule]], product: Product, cell: Cell, setting: str) -> list[Condition]:
    found = []
    if getattr(product, setting) is not None:
        found.append(Condition(getattr(product, setting), None, _TABLE))
    numbered = _set_by(rules, cell, setting)
    if numbered:
        index, rule = numbered
        found.append(Condition(getattr(rule, setting), index, f"rule {rule.rule!r}"))
    return found


def _listed_products(
    rules: Sequence[tuple[int, EligibilityRule]], product: Product, cell: Cell, setting: str
) -> list[Condition]:
    numbered = _set_by(rules, cell, setting)
    found = [Condition(name, None, _TABLE) for name in getattr(product, setting)]
    if numbered:
        index, rule = numbered
        found += [Condition(name, index, f"rule {rule.rule!r}") for name in getattr(rule, setting)]
    return found


def _problem(loaded: LoadedPolicy, rule: int | None, setting: str, message: str) -> Problem:
    """At the rule; what the products table alone has wrong is no fault of the policy, and a warning."""
    if rule is None:
        return loaded.problem((), message + ": correct the products table", fails=False)
    return loaded.problem(("eligibility", rule, setting), message)


def _in_words(policy: Policy, cell: Cell, *conditions: Condition) -> str:
    """Whom a cell speaks of: its kind, and what the rules behind the conditions name."""
    named = {name for one in conditions if one.rule is not None for name in policy.eligibility[one.rule].scope.named}
    words = [f"{name} {value}" for name, value in cell if value is not None and name in {*named, "kind"}]
    return f" ({', '.join(words)})"
