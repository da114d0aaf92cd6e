"""``decide()``: from propensities to what each customer of a block is offered, and why not the rest.

One path for every use: an RM's request is a block of one, a campaign a stream of blocks, a simulation the same stream
from an older date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock
from features.errors import BadInput
from features.kernels import kernel
from training import top_k

from . import one_pass
from .compiled import CompiledPolicy, Context
from .fresh import FreshEvents
from .layers.arbitration import Priorities
from .layers.consent import channels_to
from .layers.contact_policy import Silences
from .layers.facts import CustomerFacts
from .layers.triggers import FoundTriggers
from .policy.sections import TRIGGERS
from .reason_codes import Reason

Score = Callable[[CustomerBlock], NDArray[np.float32]]
"""From a block to what is decided on: propensities, float32, shape (n_customers, n_products)."""

_OUTRANKED = Reason.OUTRANKED.bit


@dataclass(frozen=True)
class Decisions:
    """What each customer of a block is offered, best first, and what excluded the rest.

    Attributes
    ----------
    positions : int64, shape (n_customers,); rows of the states
    products : int32, shape (n_customers, limit); product positions, -1: nothing more to offer; no wider than there
        are products
    propensities : float32, shape (n_customers, limit); calibrated probability of acquisition within the horizon,
        0 where there is nothing to offer, as in the next four, or the customer is not to be personalised
    values : float32, same shape; money that an acquisition is worth; 1 for who is not to be personalised
    contexts, levers : float32, same shape; weights, 1 likewise
    priorities : float32, same shape; the product of these four, or, likewise, the product's popularity
    steps : uint8, same shape; bits of what has to be done and recorded before the offer, see `suitability`
    excluded : uint32, shape (n_customers, n_products); bits of every `Reason` that holds
    personalised : bool, shape (n_customers,)
    service_actions : uint16, shape (n_customers,); bits in the order of the policy's
    triggers : what makes now the right time
    facts, silences, factors : what it was decided from, for every product
    in_question : bool, shape (n_customers, n_products); None: every product is
    """

    positions: NDArray[np.int64]
    products: NDArray[np.int32]
    propensities: NDArray[np.float32]
    values: NDArray[np.float32]
    contexts: NDArray[np.float32]
    levers: NDArray[np.float32]
    priorities: NDArray[np.float32]
    steps: NDArray[np.uint8]
    excluded: NDArray[np.uint32]
    personalised: NDArray[np.bool_]
    service_actions: NDArray[np.uint16]
    found_triggers: FoundTriggers
    facts: CustomerFacts
    silences: Silences
    factors: Priorities
    in_question: NDArray[np.bool_] | None

    @property
    def triggers(self) -> NDArray[np.uint16]:
        """Uint16, shape (n_customers,); bits in the order of `TRIGGERS`; of who is not to be personalised, for service
        actions only."""
        return self.found_triggers.bits


def decide(
    propensities: NDArray[np.float32],
    block: CustomerBlock,
    policy: CompiledPolicy,
    context: Context,
    *,
    limit: int,
    products: NDArray[np.bool_] | None = None,
    fresh: FreshEvents | None = None,
) -> Decisions:
    """Run every layer of `policy` over `block` and rank what is left by priority; ties go to the lower product id.

    Parameters
    ----------
    propensities : float32, shape (n_customers, n_products)
    block : of the policy's states and period, the events that change holdings laid over it (`FreshEvents.lay_over`)
    limit : offers a customer gets at most
    products : shape (n_products,) or (n_customers, n_products); the products in question, by default all
    fresh : what happened since the states were built

    Raises
    ------
    BadInput : when the block is not of the policy's states and period, or a propensity is NaN
    NotFound : when the client asked for a product that does not exist, or the policy has no such channel
    """
    if block.states is not policy.states or block.period != policy.period:
        raise BadInput("the policy was made ready for other states or another period than the block's")
    fresh = FreshEvents.none() if fresh is None else fresh
    asked, (n, n_products) = policy.asked(context), block.words.shape
    facts, factors = CustomerFacts.empty(n), Priorities.nothing((n, n_products))
    silences = Silences(
        np.zeros((n, n_products), np.uint64), np.zeros((n, n_products), np.bool_), np.empty(n, np.bool_)
    )
    triggers = FoundTriggers(np.empty(n, np.uint16), np.empty((n, len(TRIGGERS), 2), np.float32))
    excluded, steps = np.empty((n, n_products), np.uint32), np.zeros((n, n_products), np.uint8)
    free, personalised = np.empty((n, n_products), np.bool_), np.empty(n, np.bool_)
    service_actions = np.empty(n, np.uint16)
    arguments = (
        block.positions, block.versions, block.words, np.ascontiguousarray(propensities), asked,
        fresh.rows_of(block.positions), tuple(fresh.arrays), channels_to(context.channel, fresh.channels),
        np.empty((n, 2), np.float32), *policy.tables(context).plain, _arrays_of(facts), excluded, steps,
        np.empty(n, np.uint32), _arrays_of(silences), _arrays_of(triggers), _arrays_of(factors), service_actions,
        personalised, free,
    )  # fmt: skip
    if n_broken := one_pass.over(n, *arguments):
        raise BadInput(f"{n_broken} propensities are NaN: the model that gave them must be trained again")
    if products is not None:
        free &= products
    ranked = _ranked(factors.priorities, free, asked if context.asked else None, min(limit, n_products))
    (given, values, contexts, levers, priorities), to_do = _shown(factors, steps, free, ranked, excluded)
    return Decisions(
        block.positions,
        ranked,
        given,
        values,
        contexts,
        levers,
        priorities,
        to_do,
        excluded=excluded,
        personalised=personalised,
        service_actions=service_actions,
        found_triggers=triggers,
        facts=facts,
        silences=silences,
        factors=factors,
        in_question=None if products is None else np.broadcast_to(products, free.shape),
    )


def _arrays_of(found: CustomerFacts | Silences | FoundTriggers | Priorities) -> tuple[NDArray, ...]:
    return tuple(vars(found).values())


def _ranked(
    priorities: NDArray[np.float32], free: NDArray[np.bool_], asked: NDArray[np.bool_] | None, limit: int
) -> NDArray[np.int32]:
    """The best of what is `free`, what the client asked for before the rest."""
    if asked is None:
        return top_k(priorities, free, limit)
    ranked = np.hstack([top_k(priorities, free & asked, limit), top_k(priorities, free & ~asked, limit)])
    return np.take_along_axis(ranked, np.argsort(ranked < 0, axis=1, kind="stable"), axis=1)[:, :limit].copy()


def _shown(
    factors: Priorities,
    steps: NDArray[np.uint8],
    free: NDArray[np.bool_],
    ranked: NDArray[np.int32],
    excluded: NDArray[np.uint32],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The factors, shape (5, n_customers, limit), and steps of what is `ranked`, 0 where nothing is; what is `free` and
    is not shown is outranked."""
    shown, to_do = np.zeros((5, *ranked.shape), np.float32), np.zeros(ranked.shape, np.uint8)
    _show(_arrays_of(factors), steps, free, ranked, excluded, shown, to_do)
    return shown, to_do


@kernel
def _show(factors, steps, free, ranked, excluded, shown, to_do):  # type: ignore[no-untyped-def]
    propensities, values, contexts, levers, priorities = factors
    for row in range(len(ranked)):
        for product in range(free.shape[1]):
            if free[row, product]:
                excluded[row, product] |= _OUTRANKED
        for place in range(ranked.shape[1]):
            product = ranked[row, place]
            if product < 0:
                break
            excluded[row, product] &= ~_OUTRANKED
            shown[0, row, place] = propensities[row, product]
            shown[1, row, place] = values[row, product]
            shown[2, row, place] = contexts[row, product]
            shown[3, row, place] = levers[row, product]
            shown[4, row, place] = priorities[row, product]
            to_do[row, place] = steps[row, product]
