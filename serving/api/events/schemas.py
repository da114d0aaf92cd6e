"""Events: what happened to a customer and counts from the next decision on."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..names import Channel, CustomerId, Evidence, ProductId


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerId = Field(examples=["R0000042"])
    day: date | None = Field(
        default=None, description="On which it happened; by default, and at the latest, the day of decisions"
    )


class ProductEvent(_Event):
    """The customer has opened or closed a product."""

    kind: Literal["opened", "closed"]
    product_id: ProductId = Field(examples=["credit_card"])


class ConsentEvent(_Event):
    """The customer has given or withdrawn a consent."""

    kind: Literal["consent"]
    purpose: Literal["marketing", "personalisation"]
    granted: bool = Field(strict=True)
    channel: Channel | None = Field(default=None, description="Where it speaks of one channel only", examples=["sms"])
    evidence: Evidence | None = Field(
        default=None,
        description="Where it can be seen that the consent was given: a form, a recording, a document",
        examples=["form 2026-00731"],
    )


class ComplaintEvent(_Event):
    """The customer has complained, or all complaints are resolved."""

    kind: Literal["complaint_opened", "complaint_resolved"]


class BalanceEvent(_Event):
    """A large amount has come in or, below 0, gone."""

    kind: Literal["balance_jump"]
    amount: float = Field(ge=-1e13, le=1e13, strict=True, allow_inf_nan=False, examples=[250000.0])


EventRequest = Annotated[ProductEvent | ConsentEvent | ComplaintEvent | BalanceEvent, Field(discriminator="kind")]


class EventAnswer(BaseModel):
    """An event on record."""

    event_id: str = Field(examples=["0197700b-03f1-72fd-a1a3-f3c7a3f3f1c2"])
    customer_id: str = Field(examples=["R0000042"])
    day: date
    repeated: bool = Field(description="It was on record already, under the same key: nothing was added")
    counts_from: date | None = Field(
        description="The day of the first decision that hears of it, which is the next one; null: none does"
    )
    because: str | None = Field(description="Why no decision hears of it, or what else holds; null: nothing to say")
    because_zh: str | None = Field(description="The same in Chinese")
