"""Approvals: what one person asks for and another decides."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...desk.approvals import Status, Verdict
from ..names import Channel, CustomerId, EntryId, Evidence, Remark
from ..operations.schemas import PolicySection


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PolicyAsked(_Asked):
    """A policy that is to go into use."""

    policy: EntryId = Field(
        default="current", description="The digest of one that is kept, or current: the workspace's `policy.yaml`"
    )


class ConsentAsked(_Asked):
    """A consent that a customer is said to have granted."""

    customer_id: CustomerId = Field(examples=["R0000042"])
    purpose: Literal["marketing", "personalisation"]
    channel: Channel | None = Field(default=None, description="Where it speaks of one channel only", examples=["sms"])
    day: date | None = Field(default=None, description="On which it was granted; by default the day of decisions now")
    evidence: Evidence | None = Field(default=None, description="Where it can be seen", examples=["form 2026-00731"])


class PolicyRequest(_Asked):
    """A request for the approval of a policy."""

    kind: Literal["policy"]
    content: PolicyAsked = PolicyAsked()


class ConsentRequest(_Asked):
    """A request for the approval of a consent."""

    kind: Literal["consent"]
    content: ConsentAsked


ApprovalRequest = Annotated[PolicyRequest | ConsentRequest, Field(discriminator="kind")]


class VerdictRequest(_Asked):
    """What is decided of a request."""

    decision: Verdict
    reason: Remark | None = Field(
        default=None, description="Why; a refusal needs one", examples=["the form is unsigned"]
    )

    @model_validator(mode="after")
    def _says_why(self) -> "VerdictRequest":
        if self.decision is Verdict.REFUSE and self.reason is None:
            raise ValueError("reason: say why it is refused")
        return self


class VerdictOnRecord(BaseModel):
    """What was decided of a request."""

    decision: Verdict
    reason: str | None
    by: dict[str, str] = Field(description="Who decided it")
    at: str = Field(description="When, UTC")


class Approval(BaseModel):
    """A request, and what was decided of it."""

    approval_id: str = Field(examples=["0197700b-03f1-72fd-a1a3-f3c7a3f3f1c2"])
    kind: str = Field(description="policy or consent", examples=["policy"])
    status: Status
    requested_by: dict[str, str] = Field(description="Who asked for it")
    requested_at: str = Field(description="When, UTC")
    lapses_at: str = Field(description="Until when it can be decided, UTC")
    content: dict[str, Any] = Field(
        description="What is asked for", examples=[{"digest": "0d1f6a3b9c2e", "name": "demo@2026-07#0d1f6a3b9c2e"}]
    )
    decision: VerdictOnRecord | None = Field(description="null: it is not decided yet")
    may_decide: bool = Field(description="Whether it is the caller's to decide")


class ApprovalAnswer(Approval):
    """An approval that was asked for, or decided."""

    repeated: bool = Field(description="It was on record already: nothing was added")


class PolicyProposed(BaseModel):
    """The policy in question, in words and as it was written."""

    words: list[PolicySection]
    document: str = Field(description="The file")
    suitability_pack: str = Field(description="The file of the pack; the same where it is written into the policy")


class ApprovalDetail(Approval):
    """An approval with what whoever decides has to see."""

    policy: PolicyProposed | None = Field(description="Of a policy; null for other kinds")


class Approvals(BaseModel):
    """Requests that are open, the oldest first."""

    approvals: list[Approval]
    total: int = Field(description="Of all pages")
    page: int
    size: int
