"""The overview of a customer."""

from datetime import date

from pydantic import BaseModel, Field

from ..recommendations.schemas import DecisionVersions, ServiceAction


class Stretch(BaseModel):
    """Days from the first to the last one, both included."""

    first_day: date
    last_day: date


class _Product(BaseModel):
    product_id: str = Field(examples=["time_deposit"])
    name: str = Field(examples=["Time deposit"])
    family: str = Field(examples=["deposits"])


class Holding(_Product):
    """A product that the customer holds."""

    held_since: date | None = Field(
        description="The day from which on it is held at the end of every period, whichever accounts followed one "
        "another: the first one's opening; null: the day is not known"
    )
    held_since_period: Stretch | None = Field(
        description="The period in which that day lies, where the day is not known; with null in both it lies before, "
        "or in the oldest of, the periods remembered, or an account does not say when it was opened"
    )
    fresh: bool = Field(description="Opened since the states were built")
    matures_on: list[date] = Field(description="Maturities ahead, the first one first")


class ClosedProduct(_Product):
    """A product closed since the states were built."""

    closed_on: date = Field(description="The day that the event says")


class ProductBalance(_Product):
    """What the customer has, or owes, in one product."""

    average: float = Field(description="Of the days of `period`")
    change: float | None = Field(description="Since the average of `change_since`; null: that one is not known")
    debt: bool = Field(description="It is owed")


class Balances(BaseModel):
    """The balances of the newest period."""

    period: Stretch = Field(description="Of whose days averages, assets and debts are, as far as `known_to`")
    change_since: Stretch = Field(description="The period whose averages a change is measured from")
    assets: float | None = Field(
        description="All that is not owed, averages of `period` and `jump`, as decisions count it; null: nothing is "
        "known"
    )
    debts: float = Field(description="All that is owed, averages of `period`")
    jump: float | None = Field(description="What events since then add to the assets; null: there are none")
    jump_days: Stretch | None = Field(description="From the first of those events to the last")
    products: list[ProductBalance]


class Contact(BaseModel):
    """A contact with the customer."""

    day: date = Field(description="On which the contact was made")
    product_id: str | None
    name: str | None
    family: str | None
    channel: str | None = Field(examples=["rm"])
    outcome: str | None = Field(description="accepted, declined, later or no_answer", examples=["declined"])


class StandingConsent(BaseModel):
    """The newest answer about a purpose, everywhere or through one channel."""

    purpose: str = Field(description="marketing or personalisation", examples=["marketing"])
    channel: str | None = Field(description="null: everywhere")
    granted: bool
    since: date | None = Field(description="The day of the answer; null: never asked, and what the policy assumes then")


class Complaint(BaseModel):
    """An open complaint."""

    opened_on: date
    severity: str | None


class SuitabilityOfCustomer(BaseModel):
    """What risk the customer may be recommended."""

    risk_level: str | None = Field(examples=["C3"])
    assessed_on: date | None
    expires_on: date | None = Field(description="The last day on which the assessment holds")
    valid: bool = Field(description="On the overview's `day`, as are the next three")
    missing: bool
    expired: bool
    allowed_ratings: list[str] = Field(examples=[["R1", "R2", "R3"]])


class Referral(BaseModel):
    """A suggestion that was handed over to a colleague."""

    referral_id: str
    product_id: str = Field(examples=["mortgage"])
    day: date = Field(description="On which it was handed over")
    referred_by: str
    referred_to: str = Field(examples=["RM-B001-2"])
    result: str | None = Field(description="accepted, declined or later; null: none yet", examples=["accepted"])
    result_on: date | None = Field(description="The day of the result; null: none yet")


class CustomerOverview(BaseModel):
    """What is known of a customer on the day, as a decision made now sees it."""

    customer_id: str = Field(examples=["R0000042"])
    day: date = Field(description="On which a decision would be made now")
    known_to: date = Field(
        description="The last day of which the bank's tables told anything; what happened later is known from events "
        "only"
    )
    kind: str | None = Field(examples=["retail"])
    tier: str | None
    rm_id: str | None
    branch_id: str | None
    onboarded_on: date | None
    profile_since: Stretch | None = Field(
        description="The period from which on kind, tier, RM, branch and the rest of the customer's record have been "
        "known as they are; null: the tables do not say"
    )
    age: int | None = Field(description="Completed years on `day`; of companies since they were founded")
    holdings: list[Holding]
    closed: list[ClosedProduct]
    balances: Balances
    contacts: list[Contact] = Field(description="The newest twenty that the states know, the newest first")
    consents: list[StandingConsent]
    complaints: list[Complaint] = Field(description="Those open on `day`")
    suitability: SuitabilityOfCustomer
    service_actions: list[ServiceAction] = Field(description="Owed to the customer before any offer")
    referrals: list[Referral] = Field(description="The newest first")
    versions: DecisionVersions
