"""Makes an engine's first answers before anybody waits for them: that compiles, loads and touches what they use.

Whatever a service is asked about customers is asked here, and here alone: `compile_ahead` asks it of a small bank.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from features import CustomerStates
from features.contracts import KIND

from ..answering.answer import Question
from ..answering.book import STEP, BookRanking
from ..answering.engine import DecisionEngine
from ..answering.overview import overview_of
from ..decisions import FreshEvent, FreshEvents

# who is asked about together, and who stands in a book: what sums up and explains few does not do it for many
_TOGETHER, _IN_BOOK = (1, 2, 40, 48), (1, 100, 300, STEP)
_LIMITS = (1, 3)


def warm_up(engine: DecisionEngine) -> None:
    """Answer what a service is asked, about a customer of each kind that exists, alone and many at a time, with and
    without something that has just happened."""
    states = engine.states
    customers = _one_of_each_kind(states)
    if not customers or not len(states.catalogue):
        return
    product_id = states.catalogue.product_ids[0]
    day = engine.day()
    events = [FreshEvent(customer_id, "opened", day, product_id=product_id) for customer_id in customers]
    events.append(FreshEvent(customers[0], "balance_jump", day, amount=1.0))
    crowds = customers, *([customer_id] for customer_id in customers)  # of all kinds together, and of one alone
    for fresh in (FreshEvents.none(), FreshEvents.of(states, events)):
        for crowd, n, limit in product(crowds, _TOGETHER, _LIMITS):
            together = (crowd * n)[:n]
            engine.answer([Question(customer_id, limit) for customer_id in together], fresh=fresh)
        for customer_id in customers:
            engine.recommend(customer_id, _LIMITS[-1], asked=[product_id], fresh=fresh)
            engine.why_not(customer_id, product_id, _LIMITS[-1], fresh=fresh)
            overview_of(engine, customer_id, fresh)
        for crowd, n in product(crowds, _IN_BOOK):
            book = np.resize(states.positions_of(crowd), n)
            for _ in BookRanking(engine, book, fresh, limit=_LIMITS[-1]).steps():
                pass


def _one_of_each_kind(states: CustomerStates) -> list[str]:
    """Ids of customers, by the first version of each kind."""
    kinds, indptr = states.profile.codes[KIND], states.profile.indptr
    found = []
    for code in range(len(states.profile.vocabularies[KIND])):
        is_one = kinds == code
        first = int(is_one.argmax())
        if is_one.size and is_one[first]:
            found.append(states.customer_id(int(np.searchsorted(indptr, first, side="right")) - 1))
    return found
