"""Whether a policy fits a bank: names the bank knows, conditions that somebody can meet, data that triggers need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from features import Catalogue, CustomerStates
from features.contracts import BIRTH_DATE, CHANNEL, CUSTOMERS, TIER
from features.states.profile import MISSING_DAY

from .combined import impossible_ages, impossible_holdings
from .loading import LoadedPolicy
from .problems import BadPolicy, Problem, in_order, listed
from .refused_values import meant
from .schema import SCOPED_SECTIONS
from .sections import TRIGGERS, Scope

_AGE = "age"
"""What fairness and reasons call the years since birth or founding."""


@dataclass(frozen=True)
class Bank:
    """What of a bank a policy is checked against.

    Attributes
    ----------
    tiers, channels : those in its data; channels of contacts and of consents
    attributes : columns of its customers
    day : the last one that its data knows
    data : what it brings of what triggers need: balances, inflows, maturities, "dates of accounts", "dates of birth"
    """

    catalogue: Catalogue
    tiers: tuple[str, ...]
    channels: tuple[str, ...]
    attributes: tuple[str, ...]
    day: date
    data: frozenset[str]

    @classmethod
    def of(cls, states: CustomerStates) -> Bank:
        """The bank that `states` know."""
        profile = states.profile
        channels = {name for log in (states.contacts, states.consents) for name in log.vocabularies.get(CHANNEL, ())}
        brought = {
            "balances": len(states.balances.values) > 0,
            "inflows": len(states.flows.values) > 0,
            "maturities": bool(states.maturities.indptr[-1]),
            "dates of accounts": states.manifest.dated,
            "dates of birth": bool((profile.days[BIRTH_DATE] != MISSING_DAY).any()),
        }
        return cls(
            catalogue=states.catalogue,
            tiers=profile.vocabularies[TIER],
            channels=tuple(sorted(channels - {""})),
            attributes=tuple(sorted({*profile.numbers, *profile.codes, *profile.days})),
            day=date.fromisoformat(states.manifest.as_of),
            data=frozenset(name for name, brings in brought.items() if brings),
        )


_NEEDS = {
    "maturing": ("maturities",),
    "large_inflow": ("inflows",),
    "salary_started": ("dates of accounts",),
    "salary_stopped": ("dates of accounts",),
    "loan_nearly_repaid": ("balances", "maturities"),
    "balance_falling": ("balances",),
    "next_tier": ("balances",),
    "life_stage_birthday": ("dates of birth",),
}
"""What each trigger looks at; it cannot come when all of that is lacking."""


def check_policy(loaded: LoadedPolicy, states: CustomerStates, today: date) -> tuple[Problem, ...]:
    """Refuse a policy that does not fit what `states` know; what is returned are warnings.

    Parameters
    ----------
    today : the day by which levers are over, where the policy decides by today's date

    Raises
    ------
    BadPolicy : naming every problem with file, line, key and rule, one a line
    """
    problems = problems_with(loaded, Bank.of(states), today)
    failing = [problem for problem in problems if problem.fails]
    if failing:
        raise BadPolicy(failing)
    return problems


def problems_with(loaded: LoadedPolicy, bank: Bank, today: date) -> tuple[Problem, ...]:
    """What is wrong with a policy at a bank, and, not failing, what somebody should know; in the order of the file.

    Parameters
    ----------
    today : as of `check_policy`
    """
    day = today if loaded.policy.decision_day == "today" else bank.day
    found = [
        *_unknown_products(loaded, bank.catalogue),
        *_unknown_attributes(loaded, bank.attributes),
        *_tiers_of_products(loaded, bank.catalogue),
        *impossible_ages(loaded, bank.catalogue),
        *impossible_holdings(loaded, bank.catalogue),
        *_rules_for_nothing(loaded, bank.catalogue),
        *_unrated_products(loaded, bank.catalogue),
        *_undefined(loaded, bank),
        *_without_data(loaded, bank.data),
        *ended_levers(loaded, day),
    ]
    return in_order(found)


def ended_levers(loaded: LoadedPolicy, day: date) -> Iterator[Problem]:
    """Warnings about levers that no longer work on `day`."""
    for index, lever in enumerate(loaded.policy.levers):
        if lever.expires < day:
            message = f"ended on {lever.expires} and does nothing on {day}: renew it or take it out"
            yield loaded.problem(("levers", index, "expires"), message, fails=False)


def _unknown_products(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    known = {"product": catalogue.product_ids, "family": catalogue.families}
    for what, key, names in _products_and_families(loaded):
        for number, name in enumerate(names):
            if name not in known[what]:
                message = f"no {what} of the bank is called {name!r}{meant(name, known[what])}"
                yield loaded.problem((*key, number), message)
    for name in loaded.policy.fairness.by_family:
        if name not in catalogue.families:
            message = f"no family of the bank is called {name!r}{meant(name, catalogue.families)}"
            yield loaded.problem(("fairness", "by_family", name), message)


def _products_and_families(loaded: LoadedPolicy) -> Iterator[tuple[str, tuple[str | int, ...], Sequence[str]]]:
    """Everywhere that a policy names products or families: which of them, the keys that lead there, the names."""
    policy = loaded.policy
    for section in SCOPED_SECTIONS:
        for index, rule in enumerate(getattr(policy, section)):
            yield "product", (section, index, "for", "product"), rule.scope.product
            yield "family", (section, index, "for", "family"), rule.scope.family
    for index, condition in enumerate(policy.eligibility):
        yield "product", ("eligibility", index, "requires"), condition.requires
        yield "product", ("eligibility", index, "excludes"), condition.excludes
    yield "family", ("debts",), policy.debts
    yield "family", ("suitability", "rated_families"), policy.suitability.rated_families
    for name in TRIGGERS:
        trigger = getattr(policy.triggers, name)
        for what in ("product", "family"):
            yield what, ("triggers", name, what), getattr(trigger, what, ())
            yield what, ("triggers", name, "raises", what), getattr(getattr(trigger, "raises", None), what, ())


def _unknown_attributes(loaded: LoadedPolicy, attributes: tuple[str, ...]) -> Iterator[Problem]:
    # a policy may speak of what the contract knows although the bank does not bring it
    known = tuple(sorted({*attributes, *CUSTOMERS.column_names}))
    policy = loaded.policy
    for key, names, extra in (
        (("attributes", "not_spoken"), policy.attributes.not_spoken, (_AGE,)),
        (("attributes", "not_used"), policy.attributes.not_used, ()),
        (("fairness", "attributes"), policy.fairness.attributes, (_AGE,)),
    ):
        for number, name in enumerate(names):
            if name not in (*known, *extra):
                message = f"customers have no attribute {name!r}{meant(name, (*known, *extra))}"
                yield loaded.problem((*key, number), message)


def _tiers_of_products(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    tiers = loaded.policy.tiers
    asked: dict[str, list[str]] = {}
    for product in catalogue.products:
        if product.min_tier is not None and product.min_tier not in tiers:
            asked.setdefault(product.min_tier, []).append(product.product_id)
    for tier, products in asked.items():
        if tiers:
            message = (
                f"the products table asks for tier {tier!r}, which the policy does not define, for "
                f"{listed(products)}: nobody could have them; define it, or correct the products table"
            )
        else:
            message = (
                f"the policy defines no tiers, and the products table asks for {tier!r} for {listed(products)}: "
                "nobody is offered them until it does"
            )
        yield loaded.problem(("tiers",), message, fails=bool(tiers))


def _rules_for_nothing(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    for section in SCOPED_SECTIONS:
        for index, rule in enumerate(getattr(loaded.policy, section)):
            scope: Scope = rule.scope
            known = set(scope.product) <= set(catalogue.product_ids) and set(scope.family) <= set(catalogue.families)
            if known and not any(scope.speaks_of(product) for product in catalogue.products):
                message = "no product fits all that it names: it never holds"
                yield loaded.problem((section, index, "for"), message, fails=False)


def _unrated_products(loaded: LoadedPolicy, catalogue: Catalogue) -> Iterator[Problem]:
    for number, family in enumerate(loaded.policy.suitability.rated_families):
        unrated = [
            product.product_id
            for product in catalogue.products
            if product.family == family and product.risk_rating is None and product.issuer_risk_rating is None
        ]
        if unrated:
            message = f"{listed(unrated)} of family {family!r} have no rating and count as of the highest risk"
            yield loaded.problem(("suitability", "rated_families", number), message, fails=False)


def _undefined(loaded: LoadedPolicy, bank: Bank) -> Iterator[Problem]:
    policy = loaded.policy
    tiers = [tier for tier in bank.tiers if tier not in policy.tiers]
    if policy.tiers and tiers:
        message = f"customers of {listed(tiers)} fit no rule that names a tier, nor any min_tier: define them"
        yield loaded.problem(("tiers",), message, fails=False)
    channels = [channel for channel in bank.channels if channel not in policy.channels]
    if channels:
        message = f"contacts or consents of the bank are of {listed(channels)}, through which nothing can be offered"
        yield loaded.problem(("channels",), message, fails=False)


def _without_data(loaded: LoadedPolicy, data: frozenset[str]) -> Iterator[Problem]:
    for name in TRIGGERS:
        if getattr(loaded.policy.triggers, name) is not None and not data & set(_NEEDS[name]):
            message = f"never comes: the bank brings no {' and no '.join(_NEEDS[name])}"
            yield loaded.problem(("triggers", name), message, fails=False)
