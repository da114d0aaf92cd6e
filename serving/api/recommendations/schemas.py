"""Recommendations, and why a product is not among them."""

from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ...answering.answer import Question
from ..names import Channel, CustomerId, Family, ProductId


class SpokenReason(BaseModel):
    """Why a product is suggested, in words that can be said aloud."""

    kind: str = Field(description="model, holdings, trigger, popularity or asked", examples=["trigger"])
    topic: str = Field(description="What it is about", examples=["trigger:maturing"])
    strength: float = Field(description="How much it adds to the logarithm of the priority", examples=[0.41])
    text: str = Field(examples=["A Time deposit of ¥200,000 matures in 12 days"])


class RecommendedProduct(BaseModel):
    """One product to offer. Priority = propensity x value x context x lever; where the customer refuses to be
    personalised it is the product's popularity, and there are no factors."""

    rank: int = Field(description="1 is the best", examples=[1])
    product_id: str = Field(examples=["credit_card"])
    name: str = Field(description="English name", examples=["Credit card"])
    name_zh: str | None = Field(description="Chinese name 中文名称", examples=["信用卡"])
    family: str = Field(description="Product family", examples=["cards"])
    propensity: float | None = Field(
        description="Calibrated probability that the customer acquires the product within the horizon",
        ge=0,
        le=1,
        examples=[0.031],
    )
    value: float | None = Field(description="Money that an acquisition is worth", ge=0, examples=[1480.5])
    context: float | None = Field(description="Weight of tier, stage of life and triggers", gt=0, examples=[1.5])
    lever: float | None = Field(description="Weight that the business gives", gt=0, examples=[1.0])
    priority: float = Field(ge=0, examples=[68.8])
    client_asked: bool = Field(description="The client asked for it")
    steps: list[str] = Field(
        description="What has to be done and recorded before it is offered", examples=[["written_risk_warning"]]
    )
    reasons: list[SpokenReason] = Field(description="The strongest first")


class ServiceAction(BaseModel):
    """Something owed to the customer, before any offer."""

    action: str = Field(examples=["renew-risk-assessment"])
    text: str = Field(examples=["The risk assessment has expired: renew it first."])


class ExcludingReason(BaseModel):
    """A reason why nothing is suggested, and how many products it excludes."""

    layer: str | None = Field(
        description="candidate, eligibility, suitability, consent, contact_policy or arbitration; null where no "
        "product is in question at all, as the next",
        examples=["consent"],
    )
    reason: str | None = Field(examples=["CHANNEL_REFUSED"])
    products: int = Field(
        description="Of the products in question. Reasons against everything that the client did not ask for count "
        "all that they exclude; the others those against which they are the first reason and none of the former stands",
        ge=0,
        examples=[42],
    )
    text: str = Field(
        description="In words",
        examples=["all 42 products: the customer refuses marketing through this channel"],
    )


class AskedProduct(BaseModel):
    """What is answered about a product that the client asked for."""

    product_id: str = Field(examples=["fund_equity"])
    name: str = Field(description="English name", examples=["Equity fund"])
    name_zh: str | None = Field(description="Chinese name 中文名称", examples=["股票型基金"])
    offered: bool = Field(description="It is among the recommendations")
    rank: int | None = Field(description="Its place among them; null where it is not offered", ge=1, examples=[1])
    layer: str | None = Field(
        description="Of the first reason why it is not offered; null where it is, or is of no family asked for",
        examples=["suitability"],
    )
    reason: str | None = Field(description="That reason; null likewise", examples=["RISK_ASSESSMENT_EXPIRED"])
    text: str = Field(description="Its place, or why it has none, in words, with the figures")


class DecisionVersions(BaseModel):
    """What the answer was made with."""

    model: str = Field(description="Version of the model in the registry", examples=["3"])
    states: str = Field(description="Build of the customer states", examples=["2026-06-30-1f0c2ab39d7e"])
    as_of: str = Field(
        description="Last day of the newest period of the customer states, which may end later than the facts known",
        examples=["2026-06-30"],
    )
    policy: str = Field(description="Name, version and digest of the policy", examples=["demo@2026-07#0d1f6a3b9c2e"])
    catalogue: str = Field(description="Digest of the products", examples=["5e3c1a7b9d20"])


class Recommendations(BaseModel):
    """Products to offer one customer, best first."""

    decision_id: str = Field(description="Of the decision on record", examples=["01976f0a-6c1e-7cc3-98c4-dc0c0c07398f"])
    customer_id: str = Field(examples=["R0000042"])
    channel: str = Field(description="Through which the customer would be contacted", examples=["rm"])
    day: str = Field(description="Day of the decision", examples=["2026-06-30"])
    personalised: bool = Field(description="False where the customer refused it: products then go by popularity")
    service_actions: list[ServiceAction] = Field(description="Owed to the customer before any offer")
    triggers: list[str] = Field(description="What makes now the right time", examples=[["maturing"]])
    recommendations: list[RecommendedProduct]
    versions: DecisionVersions
    client_asked: list[AskedProduct] | None = Field(
        default=None,
        description="About each product that the client asked for; not there where the client asked for none",
    )
    nothing_because: list[ExcludingReason] | None = Field(
        default=None,
        description="Why there are no recommendations: first what stands against everything, then the reason that "
        "excludes most, what the bank does not sell to such customers last; not there where there are recommendations",
    )


class Wanted(BaseModel):
    """How recommendations are wanted, of one customer or of many."""

    limit: int | None = Field(
        default=None, ge=1, description="Products at most; by default as configured", examples=[3]
    )
    channel: Channel | None = Field(
        default=None,
        description="Through which the customer is contacted; by default the policy's first",
        examples=["rm"],
    )
    client_asked: list[ProductId] = Field(
        default=[], max_length=100, description="Products the client asked for; the rest is what we recommend"
    )
    families: list[Family] = Field(
        default=[], max_length=100, description="Only products of these families; by default of all"
    )
    language: Literal["en", "zh"] = Field(default="en", description="Of texts")
    reasons: bool = Field(default=True, description="Whether suggestions come with reasons")

    def question(self, customer_id: str, limit: int) -> Question:
        """What is asked for one customer; `limit` : the one wanted, or the configured one."""
        return Question(
            customer_id=customer_id,
            limit=limit,
            channel=self.channel,
            asked=tuple(self.client_asked),
            families=tuple(self.families),
            with_reasons=self.reasons,
        )


class RecommendationQuery(Wanted):
    """How recommendations for one customer are wanted."""

    model_config = ConfigDict(frozen=True)  # it is remembered


_MOST_NAMED = 10


def _each_once(customer_ids: list[str]) -> list[str]:
    """Somebody named a thousand times would be decided about, and put on record, a thousand times."""
    repeated = [repr(each) for each, times in Counter(customer_ids).items() if times > 1]
    if repeated:
        named = ", ".join(repeated[:_MOST_NAMED])
        more = f" and {len(repeated) - _MOST_NAMED} more" if len(repeated) > _MOST_NAMED else ""
        says = "{named}{more} asked about several times: name each customer once"
        raise PydanticCustomError("repeated", says, {"named": named, "more": more})
    return customer_ids


class BatchRequest(Wanted):
    """Customers of whom the same is asked."""

    model_config = ConfigDict(extra="forbid")

    customer_ids: Annotated[
        list[CustomerId],
        Field(
            min_length=1,
            max_length=1000,
            description="Each once",
            examples=[["R0000042", "C000007"]],
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_each_once),
    ]


class BatchProblem(BaseModel):
    """Why one customer has no answer."""

    status: int = Field(examples=[404])
    detail: str = Field(examples=["customer 'X' is not in the states of 2026-06-30"])


class BatchResult(BaseModel):
    """The answer for one customer, or why there is none."""

    customer_id: str = Field(examples=["R0000042"])
    recommendations: Recommendations | None = None
    problem: BatchProblem | None = None


class BatchRecommendations(BaseModel):
    """In the order of the request."""

    results: list[BatchResult]


class WhyNotAnswer(BaseModel):
    """Why a product is not suggested; `layer`, `reason` and `rule` are null where it is."""

    customer_id: str = Field(examples=["R0000042"])
    product_id: str = Field(examples=["fund_equity"])
    layer: str | None = Field(
        description="candidate, eligibility, suitability, consent, contact_policy or arbitration",
        examples=["suitability"],
    )
    reason: str | None = Field(description="The first reason", examples=["RISK_ABOVE_TOLERANCE"])
    rule: str | None = Field(description="The policy's rule behind it", examples=["china: allowed"])
    detail: str = Field(
        description="In words, with the figures, in the language asked for",
        examples=["level C2 may be offered R1, R2; the product is R4"],
    )
    reasons: list[str] = Field(description="All that hold, in the order of the layers")
    versions: DecisionVersions
