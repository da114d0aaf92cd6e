"""What is asked for a customer and what is answered: the recommendation, and from what it was decided."""

from __future__ import annotations

from typing import NamedTuple

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
