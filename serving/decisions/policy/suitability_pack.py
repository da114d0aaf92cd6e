"""A suitability pack: which risk a customer of which level may be offered, as a country's rules have it."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.contracts import RISK_LEVELS, RISK_RATINGS

Level = Literal["C1", "C2", "C3", "C4", "C5"]
Rating = Literal["R1", "R2", "R3", "R4", "R5"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Elderly(_Section):
    """Customers of an age who need a further step before a product of high risk."""

    from_age: int = Field(ge=0, le=150)
    """In completed years."""
    from_rating: Rating
    """The lowest rating that is of high risk to them."""
    step: str = Field(min_length=1)
    """What has to be done, by name; a decision that the client asked for lists it."""


class Funds(_Section):
    """Means that clearly do not match a product of some risk."""

    from_rating: Rating
    """The lowest rating that takes such means."""
    min_assets: float | None = Field(default=None, ge=0)
    """Average balance over all products but debts."""
    max_debt_to_assets: float | None = Field(default=None, ge=0)
    """Debts with the bank over assets with it: what is borrowed is not to be invested."""

    @model_validator(mode="after")
    def _check(self) -> Funds:
        if self.min_assets is None and self.max_debt_to_assets is None:
            raise ValueError("says nothing: give min_assets or max_debt_to_assets")
        return self


class ClientAsked(_Section):
    """What changes when the client asks for a product, which the bank did not recommend."""

    allows: tuple[Literal["RISK_ABOVE_TOLERANCE", "ELDERLY_HIGH_RISK"], ...] = ()
    """Reasons that then do not exclude."""
    step: str = Field(min_length=1)
    """What has to be done and recorded first."""
    barred_levels: tuple[Level, ...] = ()
    """Levels for which nothing changes."""


class SuitabilityPack(_Section):
    """The matrix of risk levels and ratings, and what goes with it."""

    pack: str = Field(min_length=1)
    """Its name."""
    sources: tuple[str, ...] = ()
    """The rules it follows."""
    allowed: dict[Level, tuple[Rating, ...]]
    """The ratings that a customer of each level may be offered."""
    valid_days: int = Field(ge=1)
    """Days for which an assessment holds at most."""
    elderly: Elderly | None = None
    """None: customers of any age are treated alike."""
    funds: tuple[Funds, ...] = ()
    """Means that do not match; all of them hold."""
    client_asked: ClientAsked | None = None
    """None: a client who asks is treated as one to whom the bank recommends."""

    @model_validator(mode="after")
    def _check(self) -> SuitabilityPack:
        missing = [level for level in RISK_LEVELS if level not in self.allowed]
        if missing:
            raise ValueError(f"allowed: level {missing[0]} has no line; give [] if nothing may be offered")
        for lower, higher in pairwise(RISK_LEVELS):
            lost = set(self.allowed[lower]) - set(self.allowed[higher])  # type: ignore[index]
            if lost:
                raise ValueError(
                    f"allowed: {lower} may be offered {min(lost)} and {higher}, who tolerates more, may not"
                )
        return self


def rank_of_rating(rating: str | None) -> int:
    """1 to 5; 0 for what has no rating."""
    return 0 if rating is None else RISK_RATINGS.index(rating) + 1
