"""Makes a recommender's first answers before anybody waits for them: that compiles, loads and touches what they use."""

from __future__ import annotations

import numpy as np

from features import CustomerStates
from features.contracts import KIND

from ..answer import Question
from ..decisions import FreshEvent, FreshEvents
from ..recommender import Recommender

_LIMIT = 3


def warm_up(recommender: Recommender) -> None:
    """Answer for a customer of each kind that exists, alone and together, with and without something that has just
    happened, and say why not."""
    states = recommender.states
    customers = _one_of_each_kind(states)
    if not customers or not len(states.catalogue):
        return
    product_id = states.catalogue.product_ids[0]
    for customer_id in customers:
        recommender.recommend(customer_id, _LIMIT)
        recommender.why_not(customer_id, product_id, _LIMIT)
    day = recommender.day()
    events = [FreshEvent(customer_id, "opened", day, product_id=product_id) for customer_id in customers]
    events.append(FreshEvent(customers[0], "balance_jump", day, amount=1.0))
    questions = [Question(customer_id, _LIMIT) for customer_id in customers]
    recommender.answer(questions, fresh=FreshEvents.of(states, events))


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
