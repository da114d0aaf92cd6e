"""The overview of a customer."""

from datetime import date

from pydantic import BaseModel, Field

from .recommendations import DecisionVersions, ServiceAction


class _Product(BaseModel):
    product_id: str = Field(examples=["time_deposit"])
    name: str = Field(examples=["Time deposit"])
    family: str = Field(examples=["deposits"])


class Holding(_Product):
    """A product that the customer holds."""

    held_since: date | None = Field(description="Without interruption; null: since before what is remembered")
    fresh: bool = Field(description="Opened since the states were built")
    matures_on: list[date] = Field(description="Maturities ahead, the first one first")


class ClosedProduct(_Product):
    """A product closed since the states were built."""

    closed_on: date


class ProductBalance(_Product):
    """What the customer has, or owes, in one product."""

    average: float = Field(description="Of the newest period")
    change: float | None = Field(description="Since three periods before")
    debt: bool = Field(description="It is owed")


class Balances(BaseModel):
    """The balances of the newest period."""

    assets: float | None = Field(description="All that is not owed, as decisions count it; null: nothing is known")
    debts: float
    jump: float | None = Field(description="What events since then add to the assets")
    products: list[ProductBalance]


class Contact(BaseModel):
    """A contact with the customer."""

    day: date
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
    since: date | None = Field(description="null: never asked, and what the policy assumes then")


class Complaint(BaseModel):
    """An open complaint."""

    opened_on: date
    severity: str | None


class SuitabilityOfCustomer(BaseModel):
    """What risk the customer may be recommended."""

    risk_level: str | None = Field(examples=["C3"])
    assessed_on: date | None
    expires_on: date | None
    valid: bool
    missing: bool
    expired: bool
    allowed_ratings: list[str] = Field(examples=[["R1", "R2", "R3"]])


class Referral(BaseModel):
    """A suggestion that was handed over to a colleague."""

    referral_id: str
    product_id: str = Field(examples=["mortgage"])
    day: date
    referred_by: str
    referred_to: str = Field(examples=["RM-B001-2"])
    result: str | None = Field(description="accepted, declined or later; null: none yet", examples=["accepted"])


class CustomerOverview(BaseModel):
    """What is known of a customer on the day, as a decision made now sees it."""

    customer_id: str = Field(examples=["R0000042"])
    day: date
    kind: str | None = Field(examples=["retail"])
    tier: str | None
    rm_id: str | None
    branch_id: str | None
    onboarded_on: date | None
    age: int | None = Field(description="Completed years; of companies since they were founded")
    holdings: list[Holding]
    closed: list[ClosedProduct]
    balances: Balances
    contacts: list[Contact] = Field(description="The newest twenty that the states know, the newest first")
    consents: list[StandingConsent]
    complaints: list[Complaint] = Field(description="Open ones")
    suitability: SuitabilityOfCustomer
    service_actions: list[ServiceAction] = Field(description="Owed to the customer before any offer")
    referrals: list[Referral] = Field(description="The newest first")
    versions: DecisionVersions
