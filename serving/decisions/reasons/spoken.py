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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from training import Bundle

from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from .grounds import LEAST_STRENGTH, ReasonKind
from .sources import Sources
from .wording_triggers import ASKED, NOTHING_IN_PARTICULAR, ON_SALE, POPULAR, TAKEN

__all__ = ["LEAST_STRENGTH", "ReasonKind", "SpokenReason", "reasons_for", "reasons_for_block"]


class SpokenReason(NamedTuple):
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
    context: Context,
) -> list[list[tuple[SpokenReason, ...]]]:
    """Reasons for what each customer of `block` is offered, to the last bit as `reasons_for` gives them one by one.

    Parameters
    ----------
    block, decisions, policy, most, context : as of `reasons_for`
    """
    return _reasons(bundle, block, decisions, policy, None, most, context)


def reasons_for(
    bundle: Bundle,
    block: CustomerBlock,
    decisions: Decisions,
    policy: CompiledPolicy,
    row: int,
    *,
    most: int = 3,
    context: Context,
) -> list[tuple[SpokenReason, ...]]:
    """Reasons for what the customer at `row` is offered: of each product, in the order of rank, `most` at most.

    The strongest comes first, ties by the topic's code; before all others that the client asked for it. There is always
    at least one.

    Parameters
    ----------
    block, decisions, policy : what was decided, from what, and by which rules
    context : of the decision
    """
    return _reasons(bundle, block, decisions, policy, np.array([row], dtype=np.int64), most, context)[0]


def _reasons(
    bundle: Bundle,
    block: CustomerBlock,
    decisions: Decisions,
    policy: CompiledPolicy,
    rows: NDArray[np.int64] | None,
    most: int,
    context: Context,
) -> list[list[tuple[SpokenReason, ...]]]:
    """Of the customers at `rows`, none: of all; of who is not to be personalised nothing is explained."""
    products, personalised = decisions.products, decisions.personalised
    if rows is not None:
        products, personalised = products[rows], personalised[rows]
    offers = [[product for product in offered if product >= 0] for offered in products.tolist()]
    personal: list[bool] = personalised.tolist()
    everybody = all(personal)
    widest = max([len(mine) for mine, explains in zip(offers, personal, strict=True) if explains], default=0)
    asked = set(np.flatnonzero(policy.asked(context)).tolist()) if context.asked else set()
    usual = 0.0 if everybody else float(policy.popularity.mean())
    explained = products if everybody else np.where(personalised[:, None], products, -1)
    if widest < explained.shape[1]:
        explained = explained[:, :widest]
    sources = Sources(bundle, block, decisions, policy, rows, explained, context) if widest else None
    return [
        _personal(sources, number, offered, asked, most)
        if sources is not None and explains and offered
        else [_ASKED if product in asked else _popularity(policy, product, usual) for product in offered]
        for number, (offered, explains) in enumerate(zip(offers, personal, strict=True))
    ]


def _personal(
    sources: Sources, number: int, offered: list[int], asked: set[int], most: int
) -> list[tuple[SpokenReason, ...]]:
    """Of each offer to one customer: what speaks for it, the strongest first, nothing said twice."""
    grounds, topics, client = sources.grounds, sources.topics.topics, sources.client(number)
    codes, kinds, sentences, n_topics = grounds.codes, grounds.kinds, grounds.sentences, len(topics)
    ranked, strengths, features = sources.ranked[number], sources.strengths[number], sources.features[number]
    found = []
    for place, product in enumerate(offered):
        reasons = [*_ASKED] if product in asked else []
        said: list[str] = []
        covered, added = _NOTHING, features[place]
        for ground, strength in zip(ranked[place], strengths[place], strict=True):
            if ground < 0 or len(reasons) >= most:
                break
            code = codes[ground]
            if code in covered:
                continue
            if ground < n_topics:
                words = sentences[ground](topics[ground], client, product, added)
            else:
                words, covers = sources.further(client, number, place, ground)
                if covers and not (covers.isdisjoint(said) and covers.isdisjoint(covered)):
                    continue
                if words is not None:
                    covered |= covers
            if words is not None:
                said.append(code)
                reasons.append(SpokenReason(kinds[ground], code, strength, words.text, words.text_zh))
        found.append(tuple(reasons) or _GENERAL)
    return found


def _popularity(policy: CompiledPolicy, product: int, usual: float) -> tuple[SpokenReason, ...]:
    """What may be said to anybody: no numbers, nothing of the customer. `usual` : of the products in the mean."""
    taken = policy.popularity.item(product)
    words = POPULAR if taken > usual else TAKEN if taken > 0 else ON_SALE
    return (SpokenReason("popularity", "popularity", 0.0, *words),)


_NOTHING: frozenset[str] = frozenset()
_ASKED = (SpokenReason("asked", "asked", 0.0, *ASKED),)
_GENERAL = (SpokenReason("model", "general", 0.0, *NOTHING_IN_PARTICULAR),)
