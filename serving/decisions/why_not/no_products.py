"""Why a customer is offered nothing: each reason that excludes what is in question, and how much of it."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache, reduce
from operator import and_
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..decide import Decisions
from ..reason_codes import Reason, first_reason, reasons_in
from ..reasons.wording_parts import Said
from .reason_words import REASON_WORDS

_NOT_PERSONAL = Reason.PERSONALISATION_REFUSED.bit
_OF_THE_CATALOGUE = {Reason.NOT_ON_SALE, Reason.WRONG_CUSTOMER_KIND}


class Excluding(NamedTuple):
    """A reason why nothing is offered.

    Attributes
    ----------
    layer, reason : None where no product is in question at all
    products : how many of those in question it excludes
    text, text_zh : both in words
    """

    layer: str | None
    reason: str | None
    products: int
    text: str
    text_zh: str


def nothing_because(decisions: Decisions, row: int, asked: NDArray[np.bool_] | None = None) -> tuple[Excluding, ...]:
    """Why customer `row`, who is offered nothing, is not.

    What stands against everything the client did not ask for comes first, in the order of the layers. Each product
    against which nothing of that stands is counted once, with its first reason: the most frequent reason first, and
    those that are the catalogue's, not the customer's, last.

    Parameters
    ----------
    asked : shape (n_products,); what the client asked for; None: nothing
    """
    excluded = decisions.excluded[row]
    is_in_question = None if decisions.in_question is None else decisions.in_question[row]
    bits = _bits(excluded, is_in_question)
    if not bits:
        return (_NOTHING_IN_QUESTION,)
    unasked = bits if asked is None else _bits(excluded, ~asked if is_in_question is None else is_in_question & ~asked)
    everywhere = reduce(and_, unasked or bits)
    found = [_excluding(each, _count(bits, each), len(bits)) for each in reasons_in(everywhere)]
    firsts = Counter(first_reason(each) for each in bits if not each & everywhere)
    for reason, n in sorted(firsts.items(), key=lambda item: (item[0] in _OF_THE_CATALOGUE, -item[1], item[0])):
        assert reason is not None, "a product that nothing excludes is offered"
        found.append(_excluding(reason, n, len(bits)))
    return tuple(found)


def _bits(excluded: NDArray[np.uint32], those: NDArray[np.bool_] | None) -> list[int]:
    """What excludes each of `those` products; None: of all."""
    return ((excluded if those is None else excluded[those]) & ~_NOT_PERSONAL).tolist()


def _count(bits: list[int], reason: Reason) -> int:
    mask = 1 << reason.value
    return len([each for each in bits if each & mask])


@lru_cache(maxsize=4096)
def _excluding(reason: Reason, n: int, n_in_question: int) -> Excluding:
    said, of = REASON_WORDS[reason], _products(n, n_in_question)
    return Excluding(reason.layer.value, reason.name, n, f"{of.text}: {said.text}", f"{of.text_zh}：{said.text_zh}")


def _products(n: int, n_in_question: int) -> Said:
    if n == n_in_question == 1:
        return Said("the only product in question", "该产品")
    products = "1 product" if n == 1 else f"{n:,} products"
    return Said(f"all {products}", f"全部{n}个产品") if n == n_in_question else Said(products, f"{n}个产品")


_NOTHING_IN_QUESTION = Excluding(None, None, 0, "no product is in question", "没有可供推荐的产品")
