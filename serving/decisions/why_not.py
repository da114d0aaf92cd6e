"""Why a product is not offered to a customer: the layer, the rule and the figures, or how far it is from the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np

from features import Catalogue, CustomerBlock
from features.contracts import KINDS, RISK_LEVELS, RISK_RATINGS

from .compiled import CompiledPolicy, Context
from .decide import Decisions
from .layers.contact_policy import LATER_RULE, reason_of
from .layers.rule_tables import products_in
from .policy.schema import Policy
from .policy.sections import EligibilityRule, Rule
from .reason_codes import Reason, reasons_in

CATALOGUE_RULE = "products table"
"""The rule of what the catalogue says."""


@dataclass(frozen=True)
class WhyNot:
    """Why a product is not offered.

    Attributes
    ----------
    layer, reason : of the first reason; None where the product is offered
    rule : the policy's rule behind it
    detail : in words, with the figures
    reasons : all that hold, in the order of the layers
    """

    layer: str | None
    reason: str | None
    rule: str | None
    detail: str
    reasons: tuple[str, ...]


def why_not(
    decisions: Decisions, block: CustomerBlock, policy: CompiledPolicy, context: Context,
    row: int, product: int,
) -> WhyNot:  # fmt: skip
    """Why customer `row` of `block` is not offered the product at position `product`."""
    case = _Case(decisions, block, policy, context, row, product)
    places = np.flatnonzero(decisions.products[row] == product)
    if len(places):
        return WhyNot(None, None, None, f"offered, as number {places[0] + 1}", ())
    found = [r for r in reasons_in(int(decisions.excluded[row, product])) if r is not Reason.PERSONALISATION_REFUSED]
    if not found:
        return WhyNot(None, None, None, "could be offered; it is not among the products in question", ())
    rule, detail = _EXPLAINED[found[0]](case)
    return WhyNot(found[0].layer.value, found[0].name, rule, detail, tuple(reason.name for reason in found))


@dataclass(frozen=True)
class _Case:
    """One customer and product."""

    decisions: Decisions
    block: CustomerBlock
    policy: CompiledPolicy
    context: Context
    row: int
    product: int

    @property
    def rules(self) -> Policy:
        return self.policy.policy

    @property
    def catalogue(self) -> Catalogue:
        return self.block.states.catalogue

    @property
    def group(self) -> int:
        return int(self.decisions.facts.groups[self.row])

    def fact(self, name: str) -> float:
        return float(getattr(self.decisions.facts, name)[self.row])

    def fits(self, rule: Rule) -> bool:
        """Whether a rule speaks of this customer, product and channel."""
        through = not rule.scope.channel or self.context.channel in rule.scope.channel
        return (
            through
            and bool(self.policy.groups.in_scope(rule.scope)[self.group])
            and bool(products_in(rule.scope, self.catalogue)[self.product])
        )

    def eligibility_rule(self, setting: str) -> EligibilityRule | None:
        """The policy's rule that sets a condition: the most particular one that fits."""
        fitting = [rule for rule in self.rules.eligibility if setting in rule.settings and self.fits(rule)]
        return max(fitting, key=lambda rule: rule.scope.specificity, default=None)

    def condition(self, setting: str, value: float) -> str:
        """The name of what sets a condition to `value`: the policy's rule if it does, else the products table."""
        rule = self.eligibility_rule(setting)
        own = None if rule is None else rule.settings[setting]
        if setting == "min_tier" and own is not None:
            own = self.policy.groups.tiers.index(own)
        return rule.rule if rule is not None and own == np.float32(value) else CATALOGUE_RULE

    def age(self) -> str:
        age = self.fact("ages")
        return "age not known" if np.isnan(age) else f"aged {age:.0f}"

    def money(self, name: str) -> str:
        amount = self.fact(name)
        return "not known" if np.isnan(amount) else f"{amount:,.0f}"


def _held(case: _Case) -> tuple[str, str]:
    return CATALOGUE_RULE, "the customer holds it"


def _not_on_sale(case: _Case) -> tuple[str, str]:
    product = case.catalogue.products[case.product]
    window = f"{product.on_sale_from or 'the beginning'} to {product.on_sale_to or 'further notice'}"
    return CATALOGUE_RULE, f"on sale from {window}; the decision's day is {case.context.day}"


def _wrong_kind(case: _Case) -> tuple[str, str]:
    product, kind = case.catalogue.products[case.product], int(case.fact("kinds"))
    whose = KINDS[kind] if kind < len(KINDS) else "unknown"
    return CATALOGUE_RULE, f"sold to {product.customer_kind} customers; this one is {whose}"


def _too_young(case: _Case) -> tuple[str, str]:
    tables = case.policy.tables(case.context).eligibility
    least, most = tables.min_ages[case.group, case.product], tables.max_ages[case.group, case.product]
    if np.isfinite(least):
        return case.condition("min_age", least), f"{case.age()}, from {least:g}"
    return case.condition("max_age", most), f"{case.age()}, up to {most:g}"


def _too_old(case: _Case) -> tuple[str, str]:
    most = case.policy.tables(case.context).eligibility.max_ages[case.group, case.product]
    return case.condition("max_age", most), f"{case.age()}, up to {most:g}"


def _tier(case: _Case) -> tuple[str, str]:
    wanted = int(case.policy.tables(case.context).eligibility.min_tiers[case.group, case.product])
    tiers, own = case.policy.groups.tiers, int(case.fact("tiers"))
    asked = tiers[wanted] if wanted < len(tiers) else case.catalogue.products[case.product].min_tier
    return case.condition("min_tier", wanted), f"tier {tiers[own] if own >= 0 else 'none known'}, from {asked}"


def _balance(case: _Case) -> tuple[str, str]:
    least = float(case.policy.tables(case.context).eligibility.min_balances[case.group, case.product])
    return case.condition("min_balance", least), f"assets {case.money('assets')}, from {least:,.0f}"


def _relation(setting: str, wanted: bool) -> Callable[[_Case], tuple[str, str]]:
    def explain(case: _Case) -> tuple[str, str]:
        rule = case.eligibility_rule(setting)
        own = getattr(case.catalogue.products[case.product], setting)
        for name, products in ((CATALOGUE_RULE, own), (rule.rule, rule.settings[setting]) if rule else ("", ())):
            for product_id in products:
                held = bool(case.block.held[case.row, case.catalogue.position_of(product_id)])
                if held is not wanted:
                    known = case.catalogue.products[case.catalogue.position_of(product_id)].name
                    return name, f"{known} ({product_id}) is held" if held else f"{known} ({product_id}) is not held"
        raise AssertionError(f"{setting} excludes nothing")

    return explain


def _level(case: _Case) -> str:
    level = int(case.fact("levels"))
    return RISK_LEVELS[level - 1] if level else "none"


def _rating(case: _Case) -> str:
    return RISK_RATINGS[case.policy.suitability.ratings[case.product] - 1]


def _above_tolerance(case: _Case) -> tuple[str, str]:
    pack = case.rules.suitability.pack
    allowed = ", ".join(pack.allowed[_level(case)]) or "nothing"  # type: ignore[index]
    barred = pack.client_asked and case.catalogue.product_ids[case.product] in case.context.asked
    asked = "; the client asked for it, which does not open it to this level" if barred else ""
    return (
        f"{pack.pack}: allowed",
        f"level {_level(case)} may be offered {allowed}; the product is {_rating(case)}{asked}",
    )


def _assessment(what: str) -> Callable[[_Case], tuple[str, str]]:
    def explain(case: _Case) -> tuple[str, str]:
        pack, profile = case.rules.suitability.pack, case.block.states.profile
        version = int(case.block.versions[case.row])
        days = [
            _day(int(profile.days[name][version])) if version >= 0 else "not known"
            for name in ("risk_assessed_on", "risk_expires_on")
        ]
        return f"{pack.pack}: {what}", (
            f"level {_level(case)}, assessed on {days[0]}, expires on {days[1]}, valid for {pack.valid_days} days at "
            f"most; the decision's day is {case.context.day}; the product is {_rating(case)}"
        )

    return explain


def _day(days: int) -> str:
    known = days > np.iinfo(np.int32).min
    return date.fromordinal(days + date(1970, 1, 1).toordinal()).isoformat() if known else "not known"


def _elderly(case: _Case) -> tuple[str, str]:
    elderly = case.rules.suitability.pack.elderly
    assert elderly is not None
    return f"{case.rules.suitability.pack.pack}: elderly", (
        f"{case.age()}; from {elderly.from_age} on a product of {elderly.from_rating} or more needs the step "
        f"{elderly.step!r}; the product is {_rating(case)}"
    )


def _funds(case: _Case) -> tuple[str, str]:
    rating = case.policy.suitability.ratings[case.product]
    limits = [
        f"from {funds.from_rating} "
        + " and ".join(
            words
            for words in (
                "" if funds.min_assets is None else f"assets of {funds.min_assets:,.0f}",
                "" if funds.max_debt_to_assets is None else f"debts up to {funds.max_debt_to_assets:g} x assets",
            )
            if words
        )
        for funds in case.rules.suitability.pack.funds
        if rating >= RISK_RATINGS.index(funds.from_rating) + 1
    ]
    known = f"assets {case.money('assets')}, debts {case.money('debts')}"
    return f"{case.rules.suitability.pack.pack}: funds", f"{known}; {'; '.join(limits)}; the product is {_rating(case)}"


def _consent(what: str) -> Callable[[_Case], tuple[str, str]]:
    def explain(case: _Case) -> tuple[str, str]:
        if what == "channel":
            return "consent", f"the customer refuses marketing through {case.context.channel}"
        default = case.rules.consent.marketing_without_record == "refused"
        return "consent", "the customer refuses marketing" + (", or was never asked" if default else "")

    return explain


def _contact(reason: Reason) -> Callable[[_Case], tuple[str, str]]:
    def explain(case: _Case) -> tuple[str, str]:
        hits = int(case.decisions.silences.rules[case.row, case.product])
        for number, rule in enumerate(case.rules.contact_policy.rules):
            if hits >> number & 1 and reason_of(rule.after.outcome, rule.after.times) is reason:
                about = {"product": "about the product", "family": "about its family", "channel": "through the channel"}
                return rule.rule, (
                    f"{rule.after.times} x {rule.after.outcome} {about.get(rule.scope, 'in all')} within "
                    f"{rule.after.within_days} days: silent for {rule.silent_days} days after the last"
                )
        assert hits >> LATER_RULE
        return "later", "the customer asked to be approached about it later"

    return explain


def _complaint(case: _Case) -> tuple[str, str]:
    return "open_complaint", "a complaint is open"


def _below_floor(case: _Case) -> tuple[str, str]:
    tables = case.policy.tables(case.context).arbitration
    fitting = [rule for rule in case.rules.floors if case.fits(rule)]
    rule = max(fitting, key=lambda rule: rule.scope.specificity)
    floor = tables.floors[case.group, case.product]
    return rule.rule, f"propensity {case.decisions.factors.propensities[case.row, case.product]:.3%}, floor {floor:.3%}"


def _outranked(case: _Case) -> tuple[str, str]:
    row, factors = case.row, case.decisions.factors
    own = float(factors.priorities[row, case.product])
    shown = case.decisions.products[row][case.decisions.products[row] >= 0]
    if not len(shown):
        return "priority", f"priority {own:.6g}; nothing is shown"
    last = int(shown[-1])
    least = float(factors.priorities[row, last])
    if not case.decisions.personalised[row]:
        return "popularity", (
            f"acquired {own:.0f} times lately; the last one shown, {case.catalogue.products[last].name}, {least:.0f}"
        )
    return "priority", (
        f"priority {own:.6g} = propensity {factors.propensities[row, case.product]:.3%} x value "
        f"{factors.values[row, case.product]:,.2f} x context {factors.contexts[row, case.product]:.3g} x lever "
        f"{factors.levers[row, case.product]:.3g}; {least - own:.6g} below the last one shown, "
        f"{case.catalogue.products[last].name} ({least:.6g})"
    )


_EXPLAINED: dict[Reason, Callable[[_Case], tuple[str, str]]] = {
    Reason.HELD: _held,
    Reason.NOT_ON_SALE: _not_on_sale,
    Reason.WRONG_CUSTOMER_KIND: _wrong_kind,
    Reason.TOO_YOUNG: _too_young,
    Reason.TOO_OLD: _too_old,
    Reason.TIER_TOO_LOW: _tier,
    Reason.BALANCE_TOO_LOW: _balance,
    Reason.MISSING_PREREQUISITE: _relation("requires", True),
    Reason.EXCLUDED_BY_HOLDING: _relation("excludes", False),
    Reason.RISK_ABOVE_TOLERANCE: _above_tolerance,
    Reason.RISK_ASSESSMENT_MISSING: _assessment("assessment"),
    Reason.RISK_ASSESSMENT_EXPIRED: _assessment("valid_days"),
    Reason.ELDERLY_HIGH_RISK: _elderly,
    Reason.FUNDS_MISMATCH: _funds,
    Reason.MARKETING_REFUSED: _consent("marketing"),
    Reason.CHANNEL_REFUSED: _consent("channel"),
    Reason.RECENTLY_DECLINED: _contact(Reason.RECENTLY_DECLINED),
    Reason.RECENTLY_CONTACTED: _contact(Reason.RECENTLY_CONTACTED),
    Reason.CONTACT_LIMIT_REACHED: _contact(Reason.CONTACT_LIMIT_REACHED),
    Reason.OPEN_COMPLAINT: _complaint,
    Reason.PROPENSITY_BELOW_FLOOR: _below_floor,
    Reason.OUTRANKED: _outranked,
}
