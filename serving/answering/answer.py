"""What is asked for a customer and what is answered: the recommendation, and from what it was decided."""

from __future__ import annotations

from typing import Any, NamedTuple

from features import CustomerBlock

from ..decisions import Context, Decisions
from .recommendation import Recommendation


class Question(NamedTuple):
    """What is asked for one customer.

    Attributes
    ----------
    limit : suggestions at most
    channel : through which the customer would be contacted; None: the policy's first
    asked : ids of products the client asked for
    families : only products of these may be suggested; empty: of all
    with_reasons : whether suggestions come with reasons
    """

    customer_id: str
    limit: int
    channel: str | None = None
    asked: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    with_reasons: bool = True

    def to_record(self) -> dict[str, Any]:
        """As it stands in the records."""
        return {
            "customer_id": self.customer_id,
            "limit": self.limit,
            "channel": self.channel,
            "client_asked": self.asked,
            "families": self.families,
            "reasons": self.with_reasons,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Question:
        """What `to_record` told, as it is read again."""
        return cls(
            customer_id=record["customer_id"],
            limit=record["limit"],
            channel=record["channel"],
            asked=tuple(record["client_asked"]),
            families=tuple(record["families"]),
            with_reasons=record["reasons"],
        )


class Answer(NamedTuple):
    """What is answered.

    Attributes
    ----------
    block, decisions, row : the customers decided together, what was decided for them, and which of them it is
    """

    question: Question
    recommendation: Recommendation
    context: Context
    block: CustomerBlock
    decisions: Decisions
    row: int
