"""One customer and one product: the facts and rules that speak of them, and figures as each language writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from features import Catalogue, CustomerBlock
from features.catalogue import Product
from features.contracts import KINDS, RISK_LEVELS, RISK_RATINGS

from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from ..policy.schema import Policy
from ..policy.sections import EligibilityRule, Rule
from ..reasons.wording_parts import Said, amount, day_name, product_name

CATALOGUE_RULE = "products table"
"""The rule of what the catalogue says."""

NOT_KNOWN = Said("not known", "未知")

Explanation = tuple[str, Said]
"""The rule behind a reason, and the reason in words, with the figures."""

_CORPORATE = KINDS.index("corporate")
_UNIX_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Case:
    """One customer of a block, and one product.

    Attributes
    ----------
    row : of the block
    position : of the product in the catalogue
    """

    decisions: Decisions
    block: CustomerBlock
    policy: CompiledPolicy
    context: Context
    row: int
    position: int

    @property
    def rules(self) -> Policy:
        """The policy's own words."""
        return self.policy.policy

    @property
    def catalogue(self) -> Catalogue:
        """The bank's products."""
        return self.block.states.catalogue

    @property
    def product(self) -> Product:
        """The product."""
        return self.catalogue.products[self.position]

    @property
    def group(self) -> int:
        """The group of customers that rules tell apart."""
        return int(self.decisions.facts.groups[self.row])

    @property
    def is_corporate(self) -> bool:
        """Whether the customer is a company."""
        return int(self.fact("kinds")) == _CORPORATE

    @property
    def was_asked_for(self) -> bool:
        """Whether the client asked for the product."""
        return self.product.product_id in self.context.asked

    def fact(self, name: str) -> float:
        """One of the facts of which decisions are made."""
        return float(getattr(self.decisions.facts, name)[self.row])

    def fits(self, rule: Rule) -> bool:
        """Whether a rule speaks of this customer, product and channel."""
        scope = rule.scope
        return (
            (not scope.channel or self.context.channel in scope.channel)
            and scope.speaks_of(self.product)
            and bool(self.policy.groups.in_scope(scope)[self.group])
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

    # -------------------------------------------------------------------------------------------------------- in words

    @property
    def day(self) -> Said:
        """The decision's."""
        return day_name(self.context.day)

    @property
    def age(self) -> Said:
        """Of a company since it was founded."""
        age = self.fact("ages")
        if np.isnan(age):
            return Said("age not known", "企业成立年限未知" if self.is_corporate else "客户年龄未知")
        return Said(f"aged {age:.0f}", f"企业成立{age:.0f}年" if self.is_corporate else f"客户{age:.0f}岁")

    @property
    def level(self) -> str | None:
        """The customer's risk level; None: there is none."""
        level = int(self.fact("levels"))
        return RISK_LEVELS[level - 1] if level else None

    @property
    def rating(self) -> str:
        """The product's, which has one."""
        return RISK_RATINGS[self.policy.suitability.ratings[self.position] - 1]

    def money(self, name: str, limit: float | None = None) -> Said:
        """One of the facts, as an amount; to the cent where it would otherwise read as `limit`, which it is not."""
        value = self.fact(name)
        if np.isnan(value):
            return NOT_KNOWN
        if limit is not None and (text := apart(value, limit, ",.0f", ",.2f")) != f"{value:,.0f}":
            return Said(text, f"{text}元")
        return money(value)

    def name(self, position: int) -> Said:
        """What a product is called."""
        return product_name(self.catalogue.products[position])


def money(value: float) -> Said:
    """An amount in whole units; in Chinese in 万 and 亿 where that leaves nothing out."""
    is_round = abs(value) >= 1e4 and value % (1e7 if abs(value) >= 1e8 else 1e3) == 0
    return Said(f"{value:,.0f}", amount(value).text_zh if is_round else f"{value:,.0f}元")


def apart(value: float, limit: float, *formats: str) -> str:
    """A figure in the first of `formats` in which it does not read as `limit`, which it is not; else in the last."""
    texts = (format(value, each) for each in formats if format(value, each) != format(limit, each))
    return next(texts, format(value, formats[-1]))


def day_of(days: int) -> Said:
    """A day of the states, counted from 1970."""
    is_known = days > np.iinfo(np.int32).min
    return day_name(date.fromordinal(days + _UNIX_EPOCH)) if is_known else NOT_KNOWN
