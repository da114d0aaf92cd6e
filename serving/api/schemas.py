"""What the service answers, as OpenAPI describes it."""

from pydantic import BaseModel, Field


class RecommendedProduct(BaseModel):
    """One product to offer."""

    rank: int = Field(description="1 is the best", examples=[1])
    product_id: str = Field(examples=["credit_card"])
    name: str = Field(description="English name", examples=["Credit card"])
    name_zh: str | None = Field(description="Chinese name 中文名称", examples=["信用卡"])
    family: str = Field(description="Product family", examples=["cards"])
    propensity: float = Field(
        description="Calibrated probability that the customer acquires the product within the horizon",
        ge=0,
        le=1,
        examples=[0.031],
    )


class DecisionVersions(BaseModel):
    """What the answer was made with."""

    model: str = Field(description="Version of the model in the registry", examples=["3"])
    states: str = Field(description="Build of the customer states", examples=["2026-06-30-1f0c2ab39d7e"])
    as_of: str = Field(description="Last day whose facts are known", examples=["2026-06-30"])


class Recommendations(BaseModel):
    """Products to offer one customer, best first."""

    customer_id: str = Field(examples=["R0000042"])
    recommendations: list[RecommendedProduct]
    versions: DecisionVersions


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(default="about:blank")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["customer 'X' is not in the states of 2026-06-30"])


class Health(BaseModel):
    """Whether the process lives."""

    status: str = Field(examples=["alive"])


class Readiness(BaseModel):
    """Whether customers can be answered, and with what."""

    status: str = Field(examples=["ready"])
    versions: DecisionVersions
