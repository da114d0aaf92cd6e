"""Feedback on a suggestion."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from ...desk.feedback import Outcome
from ..names import EntryId, ProductId, Remark, RmId


class FeedbackRequest(BaseModel):
    """What became of one suggestion."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"decision_id": "01976f0a-6c1e-7cc3-98c4-dc0c0c07398f", "product_id": "fund_money",
                 "outcome": "declined", "reason": "prefers time deposits"},
                {"decision_id": "01976f0a-6c1e-7cc3-98c4-dc0c0c07398f", "product_id": "mortgage",
                 "outcome": "referred", "referred_to": "RM-B001-2"},
            ]
        },
    )  # fmt: skip

    decision_id: EntryId = Field(description="As recommendations give it")
    product_id: ProductId = Field(description="One of the products that the decision suggested")
    outcome: Outcome = Field(description="shown to the customer, accepted, declined, later, or referred to a colleague")
    day: date | None = Field(
        default=None, description="On which it happened; by default, and at the latest, the day of decisions"
    )
    reason: Remark | None = Field(default=None, description="Why it was declined, in the customer's words")
    until: date | None = Field(default=None, description="With later: when the customer wants to hear of it again")
    referred_to: RmId | None = Field(default=None, description="With referred: the colleague who takes over")
    referral_id: EntryId | None = Field(
        default=None, description="The feedback that referred the customer: this one is its result"
    )


class FeedbackAnswer(BaseModel):
    """Feedback on record."""

    feedback_id: str = Field(examples=["0197700b-03f1-72fd-a1a3-f3c7a3f3f1c2"])
    customer_id: str = Field(examples=["R0000042"])
    repeated: bool = Field(description="It was on record already, under the same key: nothing was added")
    deciding: bool = Field(description="Whether the contact policy looks at it from the next decision on")
    counts_from: date | None = Field(
        description="The day of the first decision that hears of it, which is the next one; null: none does"
    )
    because: str | None = Field(description="Why no decision hears of it, or what else holds; null: nothing to say")
    because_zh: str | None = Field(description="The same in Chinese")
