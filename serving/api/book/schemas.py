"""An RM's book."""

from pydantic import BaseModel, Field

from ..recommendations.schemas import BatchProblem, Recommendations


class Conversation(BaseModel):
    """One customer to talk to, and about what."""

    rank: int = Field(description="1 is the best", examples=[1])
    customer_id: str = Field(examples=["R0000042"])
    recommendations: Recommendations | None = None
    problem: BatchProblem | None = Field(default=None, description="Why there are none: the service failed")


class Book(BaseModel):
    """A page of the conversations that are worth most today."""

    rm_id: str | None = Field(description="Whose customers; null: of the whole branch", examples=["RM-B001-2"])
    branch_id: str | None = Field(description="Of the team lead who asks", examples=["B001"])
    customers: int = Field(description="In the book", examples=[312])
    total: int = Field(description="Of them with something to talk about, or a problem", examples=[208])
    page: int = Field(examples=[1])
    size: int = Field(examples=[20])
    conversations: list[Conversation]
