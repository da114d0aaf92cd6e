"""The sections of a policy file: what each rule may say. `schema` puts them together."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features.contracts import KINDS, OUTCOMES

from .suitability_pack import SuitabilityPack

if TYPE_CHECKING:
    from features.catalogue import Product

MAX_CONTACT_RULES = 63
"""Contact rules a policy may have: each has a bit of a 64-bit word, the last one is for "later"."""

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.-]+$")]
_one_or_several = BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
Names = Annotated[tuple[str, ...], _one_or_several]
_SomeNames = Annotated[tuple[str, ...], _one_or_several, Field(min_length=1)]
_SomeKinds = Annotated[tuple[Literal["retail", "corporate"], ...], _one_or_several, Field(min_length=1)]


class Section(BaseModel):
    """Part of a policy. Unknown keys are refused: a rule with a typing error in it would silently not hold; so would
    one that compares with NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scope(Section):
    """For whom and what a rule holds; what is not named is not restricted. An empty list is refused: a rule for nothing
    would be one for everything."""

    product: _SomeNames = ()
    """Products, by their ids."""
    family: _SomeNames = ()
    """Families of products."""
    tier: _SomeNames = ()
    """Tiers that the policy defines."""
    life_stage: _SomeNames = ()
    """Stages of life that the policy defines."""
    kind: _SomeKinds = ()
    """Kinds of customers."""
    channel: _SomeNames = ()
    """Channels that the policy defines."""

    @property
    def named(self) -> tuple[str, ...]:
        """The dimensions it restricts, the most particular first."""
        return tuple(name for name in DIMENSIONS if getattr(self, name))

    @property
    def specificity(self) -> int:
        """How particular it is: a product outweighs any family, a family any tier, and so on down `DIMENSIONS`."""
        return sum(1 << (len(DIMENSIONS) - 1 - DIMENSIONS.index(name)) for name in self.named)

    def overlaps(self, other: Scope) -> bool:
        """Whether some customer, product and channel can fall under both, as far as the file tells."""
        return all(
            not getattr(self, name) or not getattr(other, name) or set(getattr(self, name)) & set(getattr(other, name))
            for name in DIMENSIONS
        )

    def speaks_of(self, product: Product) -> bool:
        """Whether it can hold for `product` at all: its id, family and the kind of customers it is sold to fit."""
        return (
            (not self.product or product.product_id in self.product)
            and (not self.family or product.family in self.family)
            and (not self.kind or product.customer_kind == "both" or product.customer_kind in self.kind)
        )


DIMENSIONS = ("product", "family", "tier", "life_stage", "kind", "channel")
"""What a scope may name, the most particular first."""


class Rule(Section):
    """A named rule with a scope."""

    rule: Name
    """Its name, by which decisions and `policy diff` speak of it."""
    scope: Scope = Field(default=Scope(), alias="for")
    """For whom and what it holds; without it, for everybody and everything."""
    note: str | None = None
    """Why it is there."""


class EligibilityRule(Rule):
    """Conditions a customer must meet; of several rules that set the same condition the most particular one counts.

    The catalogue's own conditions hold beside them, whatever the policy says.
    """

    min_age: float | None = Field(default=None, ge=0, le=150)
    """Completed years; of companies since they were founded."""
    max_age: float | None = Field(default=None, ge=0, le=150)
    """The same: the last age that is admitted."""
    min_tier: str | None = None
    """The lowest tier, in the order of `tiers`."""
    min_balance: float | None = None
    """Average balance of the period over all products but those of the families in `debts`."""
    requires: Names = ()
    """Products the customer must all hold."""
    excludes: Names = ()
    """Products the customer must not hold any of."""

    @model_validator(mode="after")
    def _check(self) -> EligibilityRule:
        if not self.settings:
            raise ValueError("says nothing: give one of " + ", ".join(ELIGIBILITY_SETTINGS))
        if self.min_age is not None and self.max_age is not None and self.min_age > self.max_age:
            raise ValueError(f"min_age {self.min_age:g} is above max_age {self.max_age:g}: nobody could meet both")
        both = sorted(set(self.requires) & set(self.excludes))
        if both:
            raise ValueError(f"requires and excludes both name {both[0]!r}: nobody could meet both")
        for name in ("requires", "excludes"):
            itself = sorted(set(self.scope.product) & set(getattr(self, name)))
            if itself:
                raise ValueError(f"{name}: product {itself[0]!r} is {name[:-1]}d by itself")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What it sets."""
        return {name: value for name in ELIGIBILITY_SETTINGS if (value := getattr(self, name)) not in (None, ())}


ELIGIBILITY_SETTINGS = ("min_age", "max_age", "min_tier", "min_balance", "requires", "excludes")


class Consent(Section):
    """What counts when the bank has no record of an answer."""

    marketing_without_record: Literal["allowed", "refused"] = "allowed"
    """Whether a customer without any answer about marketing may be offered something."""
    personalisation_without_record: Literal["allowed", "refused"] = "allowed"
    """Whether products are ranked for a customer without any answer about personalisation, or by popularity."""


class After(Section):
    """Contacts or outcomes after which there is silence."""

    outcome: Literal["contacted", "accepted", "declined", "later", "no_answer"]
    """``contacted``: any contact made, whatever came of it."""
    times: int = Field(default=1, ge=1, le=1000)
    """How many of them it takes."""
    within_days: int = Field(default=1, ge=1, le=3650)
    """The last of them is at most so many days, its own included, after the first."""


class QuietScope(StrEnum):
    """What is quiet after contacts, and which contacts count together."""

    PRODUCT = "product"
    FAMILY = "family"
    CHANNEL = "channel"
    ALL = "all"


class ContactRule(Section):
    """Be silent about something for a while, after contacts or outcomes of a kind."""

    rule: Name
    """Its name, by which decisions and `policy diff` speak of it."""
    after: After
    """What comes before the silence."""
    silent_days: int = Field(ge=1, le=3650)
    """Days of silence after the day of the last of them."""
    scope: QuietScope
    """``product``: contacts about the product quiet the product; ``channel``: those through the channel quiet it."""
    note: str | None = None
    """Why it is there."""


class Later(Section):
    """What becomes of an offer to which the customer said "later"."""

    after_days: int = Field(default=30, ge=0, le=3650)
    """Days of silence about the product, where the customer named no date."""
    for_days: int = Field(default=30, ge=1, le=3650)
    """Days for which it is raised after that."""
    weight: float = Field(default=1.5, gt=0)
    """Context weight of the product in that time."""


class ContactPolicy(Section):
    """When to be silent."""

    rules: tuple[ContactRule, ...] = Field(default=(), max_length=MAX_CONTACT_RULES)
    """After which contacts, or outcomes of contacts, there is silence, and about what."""
    later: Later | None = Later()
    """What becomes of an offer to which the customer said "later"; none: nothing."""
    open_complaint: Literal["silent", "ignored"] = "silent"
    """Whether a complaint that is not resolved stops marketing; service actions go on."""


class Floor(Rule):
    """The least propensity with which a product is offered; the most particular rule counts."""

    floor: float = Field(ge=0, lt=1)
    """The propensity."""


class ContextWeight(Rule):
    """A weight for tier, stage of life, kind or channel; all that fit are multiplied."""

    weight: float = Field(gt=0)
    """What the priority is multiplied by."""


class Lever(Rule):
    """The business's thumb on the scale: somebody's, for a time, within the ceiling."""

    factor: float = Field(gt=0)
    """What the priority is multiplied by."""
    owner: str = Field(min_length=1)
    """Who answers for it."""
    expires: date
    """The last day on which it works."""


class Ramp(Section):
    """How a product without evidence gets any: its floor grows, and its weight falls to 1, with its acquisitions."""

    evidence: int = Field(default=100, ge=1)
    """Acquisitions, in what the models learned from, with which a product stands like any other."""
    weight: float = Field(default=1.3, ge=1)
    """Context weight of a product never acquired."""


class Arbitration(Section):
    """How what is left is ranked."""

    max_life_years: float = Field(default=10.0, gt=0, le=100)
    """Years of a holding that count at most."""
    discount_rate: float = Field(default=0.05, ge=0, le=1)
    """A year, of margins to come."""
    context_limits: tuple[float, float] = (0.2, 5.0)
    """Within which the product of all context weights is kept."""
    lever_ceiling: float = Field(default=2.0, ge=1)
    """Most that levers together may multiply by; at least they divide by it."""
    ramp: Ramp | None = Ramp()
    """How a product without evidence gets any; none: it is treated like any other."""

    @model_validator(mode="after")
    def _check(self) -> Arbitration:
        low, high = self.context_limits
        if not 0 < low <= 1 <= high:
            raise ValueError(f"context_limits [{low:g}, {high:g}] must be above 0 and lie on both sides of 1")
        return self


class Raise(Section):
    """What a trigger makes timely."""

    product: Names = ()
    family: Names = ()
    weight: float = Field(gt=1)
    """Context weight of these while the trigger lasts."""

    @model_validator(mode="after")
    def _check(self) -> Raise:
        if not self.product and not self.family:
            raise ValueError("raises nothing: name a product or a family")
        return self


class Trigger(Section):
    """What makes now the right time."""

    raises: Raise | None = None


class Maturing(Trigger):
    """An account of some families matures soon."""

    family: _SomeNames
    within_days: int = Field(default=30, ge=1, le=366)


class LargeInflow(Trigger):
    """Money came in beyond the customer's own norm: the mean of the periods before."""

    times: float = Field(default=3.0, gt=1)
    over_periods: int = Field(default=6, ge=1, le=12)
    least: float = Field(default=20_000.0, ge=0)


class SalaryStarted(Trigger):
    """A product by which salaries come was opened lately."""

    product: _SomeNames
    within_periods: int = Field(default=2, ge=1, le=12)


class SalaryStopped(SalaryStarted):
    """A product by which salaries come was given up lately."""


class LoanNearlyRepaid(Trigger):
    """Of some families: what is owed is a small share of the most that was, or it is due soon."""

    family: _SomeNames
    left: float = Field(default=0.2, gt=0, lt=1)
    within_days: int = Field(default=90, ge=1, le=366)


class BalanceFalling(Trigger):
    """Assets fell below a share of the mean of the periods before: the customer may be leaving."""

    to: float = Field(default=0.6, gt=0, lt=1)
    over_periods: int = Field(default=3, ge=1, le=12)
    least: float = Field(default=20_000.0, ge=0)
    """Of that mean."""


class NextTier(Trigger):
    """Assets are within reach of the next tier's threshold."""

    within: float = Field(default=0.1, gt=0, lt=1)
    """Share of the threshold that may be missing."""
    kind: _SomeKinds = ("retail",)
    """Kinds of customers whose tier goes by assets."""


class LifeStageBirthday(Trigger):
    """A birthday that begins a stage of life is near, before or after."""

    ages: tuple[int, ...] = Field(min_length=1)
    within_days: int = Field(default=30, ge=1, le=180)


class Triggers(Section):
    """The triggers in use."""

    maturing: Maturing | None = None
    large_inflow: LargeInflow | None = None
    salary_started: SalaryStarted | None = None
    salary_stopped: SalaryStopped | None = None
    loan_nearly_repaid: LoanNearlyRepaid | None = None
    balance_falling: BalanceFalling | None = None
    next_tier: NextTier | None = None
    life_stage_birthday: LifeStageBirthday | None = None


TRIGGERS = tuple(Triggers.model_fields)
"""Names of the triggers, in the order of their bits."""


class ServiceAction(Section):
    """Something owed to the customer, before any offer and whatever was refused."""

    action: Name
    """Its name, by which decisions speak of it."""
    when: Literal[
        "risk_assessment_expired",
        "open_complaint",
        "maturing",
        "large_inflow",
        "salary_started",
        "salary_stopped",
        "loan_nearly_repaid",
        "balance_falling",
        "next_tier",
        "life_stage_birthday",
    ]
    """What it is owed for: a trigger of the policy, an assessment that has expired or a complaint that is open."""
    text: str = Field(min_length=1)
    """What the relationship manager reads, in English."""
    text_zh: str = Field(min_length=1)
    """What the relationship manager reads, in Chinese."""


class Channel(Section):
    """What a contact through a channel costs."""

    cost: float = Field(default=0.0, ge=0)
    """Of each contact."""
    cost_per_minute: float = Field(default=0.0, ge=0)
    """Of each of the product's contact minutes."""


class LifeStage(Section):
    """Persons of some ages, in completed years."""

    from_age: int = Field(ge=0, le=150)
    """The first age that belongs to it."""
    to_age: int = Field(ge=0, le=150)
    """The last age that belongs to it."""

    @model_validator(mode="after")
    def _check(self) -> LifeStage:
        if self.from_age > self.to_age:
            raise ValueError(f"from_age {self.from_age} is above to_age {self.to_age}")
        return self


class Attributes(Section):
    """What of a customer must not be said, or not be used."""

    not_spoken: Names = ()
    """Attributes that never appear in a reason."""
    not_used: Names = ()
    """Attributes that models do not see when a decision is made; nor are they spoken."""


class Fairness(Section):
    """What is watched of who is offered what."""

    attributes: Names = ()
    """Attributes of customers; ``age`` is one."""
    rate_ratio: float = Field(default=0.8, gt=0, le=1)
    """Least ratio of the lowest group's rate of being offered a product to the highest group's."""
    gini: float = Field(default=0.3, ge=0, le=1)
    """Most of the Gini coefficient of offers over the customers, ordered by a numeric attribute."""
    by_family: dict[str, FairnessLimit] = Field(default_factory=dict)
    """Families judged otherwise: credit more strictly."""


class FairnessLimit(Section):
    """Limits of one family."""

    rate_ratio: float = Field(gt=0, le=1)
    """As of all families."""
    gini: float = Field(ge=0, le=1)
    """As of all families."""


class Suitability(Section):
    """Which products need a risk assessment, and by which pack they are judged."""

    pack: SuitabilityPack
    """The name of a pack that comes along, such as `china`, or a file beside the policy; what a pack says is below."""
    rated_families: Names = ()
    """Families whose products must be rated: one without a rating counts as of the highest risk."""


assert set(KINDS) == {"retail", "corporate"}  # Scope.kind names them
assert set(OUTCOMES) < {"contacted", "accepted", "declined", "later", "no_answer"}  # After.outcome names them
