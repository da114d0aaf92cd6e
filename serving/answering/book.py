"""An RM's or a branch's customers, and with whom of them a conversation is worth most today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates, block_of
from features.contracts import BRANCH_ID, RM_ID
from features.errors import BadInput, NotFound

from ..decisions import Decisions, FreshEvents
from .engine import DecisionEngine

STEP = 512
"""Customers decided at once, at most: about as long as others on an event loop can be kept waiting."""


@dataclass(frozen=True)
class Conversation:
    """A customer with whom there is something to talk about.

    Attributes
    ----------
    position : row of the states
    priority : of the best suggestion, or, for who is not to be personalised, its popularity; None: there is none
    is_owed_service : a service action is due
    triggers : bits in the order of `TRIGGERS`; 0 for who is not to be personalised
    """

    position: int
    priority: float | None
    personalised: bool
    is_owed_service: bool
    triggers: int


class BookRanking:
    """Ranks the conversations with the customers of a book, deciding for some of them at a time.

    Parameters
    ----------
    positions : int64, shape (n_customers,); rows of the states, each once
    fresh : what happened since the states were built
    channel : through which the customers would be contacted; None: the policy's first
    limit : suggestions a customer gets at most

    Attributes
    ----------
    broken : what is wrong with customers for whom nothing can be decided, by their row

    Raises
    ------
    BadInput : when the limit is below 1
    """

    def __init__(
        self,
        engine: DecisionEngine,
        positions: NDArray[np.int64],
        fresh: FreshEvents,
        *,
        channel: str | None = None,
        limit: int,
    ) -> None:
        if limit < 1:
            raise BadInput(f"limit {limit}: conversations are ranked by the best suggestion, so ask for 1 at least")
        self._engine = engine
        self._fresh = fresh
        self._context = engine.context(channel)
        self._limit = limit
        self._waiting = [positions[start : start + STEP] for start in range(0, len(positions), STEP)]
        self._parts: list[_Part] = []
        self.broken: dict[int, Exception] = {}

    def steps(self) -> Iterator[None]:
        """Decide for `STEP` customers at a time, until all are decided for; in between others may have their turn.

        Raises
        ------
        NotFound : when the policy has no such channel
        """
        states = self._engine.states
        while self._waiting:
            some = self._waiting[0]
            try:
                block = block_of(states, some, states.as_of_period)
                decisions = self._engine.decide(block, self._context, limit=self._limit, fresh=self._fresh)
                self._parts.append(_Part.of(decisions))
            except NotFound:  # the question is wrong, not a customer
                raise
            except Exception as error:
                if len(some) > 1:
                    self._waiting[:1] = np.array_split(some, 2)
                    continue
                self.broken[int(some[0])] = error
            del self._waiting[0]
            yield

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """Those with the customers decided for so far, the best one first.

        First come customers who are offered something, by the priority of their best suggestion; then those who are not
        to be personalised, by its popularity; then those to whom only a service is owed. Ties go to the lower customer
        id. Customers with nothing of these are left out.
        """
        if not self._parts:
            return ()
        found = _Part(*(np.concatenate(columns) for columns in zip(*self._parts, strict=True)))
        has_offer = ~np.isnan(found.priorities)
        group = np.where(has_offer, np.where(found.personalised, 0, 1), 2)
        highest_first = np.where(has_offer, -found.priorities, 0)
        order = np.lexsort((found.positions, highest_first, group))  # customers stand in the order of their ids
        return tuple(
            Conversation(position, priority if offered else None, personalised, owed, triggers)
            for position, priority, personalised, owed, triggers, offered in zip(
                *(column[order].tolist() for column in (*found, has_offer)), strict=True
            )
        )


def customers_of(
    states: CustomerStates, *, rm_id: str | None = None, branch_id: str | None = None
) -> NDArray[np.int64]:
    """Positions, ascending, of the customers whom the newest known version of their profile gives to an RM or branch.

    Both named: to both. Only customers whom the bank knows at the states' end. An RM or branch that no profile names
    has none.

    Raises
    ------
    BadInput : when neither is named
    """
    wanted = {column: name for column, name in ((RM_ID, rm_id), (BRANCH_ID, branch_id)) if name is not None}
    if not wanted:
        raise BadInput("whose customers? Name an RM or a branch")
    profile, period = states.profile, states.as_of_period
    theirs = np.ones(len(profile.valid_from), dtype=np.bool_)
    for column, name in wanted.items():
        words = profile.vocabularies[column]
        if name not in words:
            return np.zeros(0, dtype=np.int64)
        theirs &= profile.codes[column] == words.index(name)
    versions = np.flatnonzero(theirs)
    customers = np.searchsorted(profile.indptr, versions, side="right") - 1
    customers = customers[profile.versions_at(customers, period) == versions]
    return customers[states.are_known_at(customers, period)]


class _Part(NamedTuple):
    """The customers of one step with whom there is something to talk about; arrays of shape (n,).

    Attributes
    ----------
    priorities : NaN where nothing is suggested
    """

    positions: NDArray[np.int64]
    priorities: NDArray[np.float32]
    personalised: NDArray[np.bool_]
    is_owed_service: NDArray[np.bool_]
    triggers: NDArray[np.uint16]

    @classmethod
    def of(cls, decisions: Decisions) -> _Part:
        offered, owed = decisions.products[:, 0] >= 0, decisions.service_actions != 0
        rows = np.flatnonzero(offered | owed)
        personalised = decisions.personalised[rows]
        return cls(
            decisions.positions[rows],
            np.where(offered[rows], decisions.priorities[rows, 0], np.float32(np.nan)),
            personalised,
            owed[rows],
            # what makes the time right is read off the customer's own accounts
            np.where(personalised, decisions.triggers[rows], np.uint16(0)),
        )
