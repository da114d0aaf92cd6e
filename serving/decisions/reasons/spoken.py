"""Reasons for an offer that an RM can say aloud: the strongest few, in English and Chinese.

Three sources are ranked together, because all speak of one thing, the logarithm of priority = propensity x value x
context x lever:

- what a topic of the model's features adds to the log-odds of the propensity (d log p = (1 - p) d log-odds, and the
  propensities of banking products are small);
- a trigger that raises the product, which multiplies the context by its weight: log(weight);
- the strongest association rule of what the customer holds: log(lift), times as often as similar customers.

Only what speaks for the product is said. What follows from an attribute that the policy marks ``not_spoken`` or
``not_used`` is not said; the intercept, what else the customer could acquire and what products like it say are nothing
about the customer and never are. To who is not to be personalised nothing personal is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from training import Bundle

from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from .grounds import LEAST_STRENGTH, Grounds, ReasonKind
from .sources import Sources, SourcesOfClient
from .wording_parts import Said
from .wording_triggers import ASKED, NOTHING_IN_PARTICULAR, ON_SALE, POPULAR, TAKEN

__all__ = ["LEAST_STRENGTH", "ReasonKind", "SpokenReason", "reasons_for", "reasons_for_block"]


@dataclass(frozen=True)
class SpokenReason:
    """One reason for one offer.

    Attributes
    ----------
    topic : stable code, such as ``balance_total``, ``holds:fund_money``, ``trigger:maturing``, ``rule``
    strength : how much it adds to the logarithm of priority; 0 where that is not known
    """

    kind: ReasonKind
    topic: str
    strength: float
    text: str
    text_zh: str


def reasons_for_block(
    bundle: Bundle,
    block: CustomerBlock,
    decisions: Decisions,
    policy: CompiledPolicy,
    *,
    most: int = 3,
    context: Context | None = None,
) -> list[list[tuple[SpokenReason, ...]]]:
    """Reasons for what each customer of `block` is offered, to the last bit as `reasons_for` gives them one by one.

    Parameters
    ----------
    block, decisions, policy, most, context : as of `reasons_for`
    """
    return _reasons(bundle, block, decisions, policy, np.arange(block.n_customers), most, context)


def reasons_for(
    bundle: Bundle,
    block: CustomerBlock,
    decisions: Decisions,
    policy: CompiledPolicy,
    row: int,
    *,
    most: int = 3,
    context: Context | None = None,
) -> list[tuple[SpokenReason, ...]]:
    """Reasons for what the customer at `row` is offered: of each product, in the order of rank, `most` at most.

    The strongest comes first, ties by the topic's code; before all others that the client asked for it. There is always
    at least one.

    Parameters
    ----------
    block, decisions, policy : what was decided, from what, and by which rules
    context : of the decision; without it nothing was asked for, and the day is that on which one is made now
    """
    return _reasons(bundle, block, decisions, policy, np.array([row], dtype=np.int64), most, context)[0]


def _reasons(
    bundle: Bundle,
    block: CustomerBlock,
    decisions: Decisions,
    policy: CompiledPolicy,
    rows: NDArray[np.int64],
    most: int,
    context: Context | None,
) -> list[list[tuple[SpokenReason, ...]]]:
    """Of the customers at `rows`; of who is not to be personalised nothing is explained."""
    products, personalised = decisions.products[rows], decisions.personalised[rows]
    explained = np.where(personalised[:, None], products, -1)
    widest = int((explained >= 0).sum(axis=1).max(initial=0))
    sources = Sources(bundle, block, decisions, policy, rows, explained[:, :widest], context) if widest else None
    asked = set(np.flatnonzero(policy.asked(context)).tolist()) if context is not None and context.asked else set()
    found = []
    for number, (offered, personal) in enumerate(zip(products.tolist(), personalised.tolist(), strict=True)):
        offers = [product for product in offered if product >= 0]
        if personal and offers and sources is not None:
            client = sources.of(number)
            found.append(
                [
                    _personal(client, sources.grounds, place, product in asked, most)
                    for place, product in enumerate(offers)
                ]
            )
        else:
            found.append([(_asked() if product in asked else _popularity(policy, product),) for product in offers])
    return found


def _personal(
    client: SourcesOfClient, grounds: Grounds, place: int, asked: bool, most: int
) -> tuple[SpokenReason, ...]:
    """Of the offer at `place`: what speaks for it, the strongest first, nothing said twice."""
    reasons = [_asked()] if asked else []
    said: list[str] = []
    covered: frozenset[str] = frozenset()
    for ground in client.ranked[place]:
        if len(reasons) >= most:
            break
        code, covers = grounds.codes[ground], client.covers(place, ground)
        if code in covered or (covers and not (covers.isdisjoint(said) and covers.isdisjoint(covered))):
            continue
        words = client.words(place, ground)
        if words is not None:
            said.append(code)
            covered |= covers
            strength = client.strengths.item(place, ground)
            reasons.append(SpokenReason(grounds.kinds[ground], code, strength, words.text, words.text_zh))
    return tuple(reasons) or (_said("model", "general", 0.0, NOTHING_IN_PARTICULAR),)


def _said(kind: ReasonKind, topic: str, strength: float, words: Said) -> SpokenReason:
    return SpokenReason(kind, topic, strength, words.text, words.text_zh)


def _asked() -> SpokenReason:
    return _said("asked", "asked", 0.0, ASKED)


def _popularity(policy: CompiledPolicy, product: int) -> SpokenReason:
    """What may be said to anybody: no numbers, nothing of the customer."""
    popularity = policy.popularity
    words = POPULAR if popularity[product] > popularity.mean() else TAKEN if popularity[product] > 0 else ON_SALE
    return _said("popularity", "popularity", 0.0, words)
