"""The engine: a bundle, a policy and states, answering for one customer or streaming over all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import CustomerBlock, CustomerStates, block_of, blocks_of, feature_set_of
from features.clock import Clock
from features.errors import NotFound
from training import Bundle

from ..decisions import CompiledPolicy, Context, Decisions, FreshEvents, Policy, Score, decide
from ..decisions.layers.hidden_features import unseen
from ..decisions.policy.loading import LoadedPolicy
from ..decisions.reasons.spoken import reasons_for_block
from ..decisions.why_not import WhyNot, why_not
from .answer import Answer, Question
from .recommendation import Recommendation, Versions, recommendations_of


class DecisionEngine:
    """Bundle, policy and states, opened together, so that no answer mixes versions.

    It never changes. What happened since the states were built is an argument of every answer, `fresh`, laid over them
    in the decision; none: nothing did.
    """

    def __init__(
        self, states: CustomerStates, bundle: Bundle, model_version: str, policy: LoadedPolicy, clock: Clock
    ) -> None:
        self.states = states
        self.bundle = bundle
        self.policy = policy
        self.clock = clock
        self.versions = Versions(
            model_version, states.manifest.build_id, states.manifest.as_of, policy.name, _digest_of_catalogue(states)
        )
        self._evidence = bundle.evidence(states.catalogue)
        self._hidden = feature_set_of(states).made_of(policy.policy.attributes.not_used)
        self._compiled = self.compiled_for(policy.policy)

    def day(self) -> date:
        """The day for which a decision is made now, whoever the customer and whatever happened."""
        return self._compiled.decision_day(self.clock.today())

    def context(self, channel: str | None = None, asked: Iterable[str] = ()) -> Context:
        """A decision made now, through the policy's first channel if none is named."""
        return Context(channel or self.policy.policy.default_channel, self.day(), tuple(asked))

    def score_for(self, policy: Policy) -> Score:
        """The bundle's propensities, from what `policy` lets the models see."""
        columns = feature_set_of(self.states).made_of(policy.attributes.not_used)
        return lambda block: self.bundle.propensities(unseen(block, columns))

    def compiled_for(self, policy: Policy, period: int | None = None) -> CompiledPolicy:
        """`policy` made ready for the states as they were known at the end of `period`, by default the newest."""
        return CompiledPolicy.of(
            policy, self.states, self.states.as_of_period if period is None else period, self._evidence
        )

    def recommend(
        self,
        customer_id: str,
        limit: int,
        *,
        channel: str | None = None,
        asked: Iterable[str] = (),
        fresh: FreshEvents | None = None,
    ) -> Recommendation:
        """Suggestions for one customer, `limit` at most, with reasons. It is a look only: nothing goes on record.

        Parameters
        ----------
        asked : ids of products the client asked for

        Raises
        ------
        NotFound : when the states have no such customer, the catalogue no such product, or the policy no such channel
        """
        (answer,) = self.answer([Question(customer_id, limit, channel, tuple(asked))], fresh=fresh)
        return answer.recommendation

    def answer(
        self,
        questions: Sequence[Question],
        *,
        positions: NDArray[np.int64] | None = None,
        fresh: FreshEvents | None = None,
        day: date | None = None,
    ) -> list[Answer]:
        """Answers to `questions`, decided together where channel, limit and what else is asked are the same.

        What is answered to one does not depend on the others.

        Parameters
        ----------
        positions : the customers' rows of the states, where they have been looked up
        fresh : what happened since the states were built
        day : of the decisions; by default that for which one is made now

        Raises
        ------
        NotFound : when the states have no such customer, the catalogue no such product or family, or the policy no such
            channel
        """
        if positions is None:
            positions = self.states.positions_of([question.customer_id for question in questions])
        day = day or self.day()
        fresh = _heard(fresh, day)
        alike: dict[tuple[Any, ...], list[int]] = {}
        for place, (_, *asked) in enumerate(questions):
            alike.setdefault(tuple(asked), []).append(place)
        if len(alike) == 1:
            return self._answer_alike(questions, positions, fresh, day)
        answers: dict[int, Answer] = {}
        for places in alike.values():
            together = self._answer_alike([questions[place] for place in places], positions[places], fresh, day)
            answers.update(zip(places, together, strict=True))
        return [answers[place] for place in range(len(questions))]

    def check(self, question: Question) -> None:
        """See to it that what is asked, whoever the customer, can be answered.

        Raises
        ------
        NotFound : when the catalogue has no such product or family, or the policy no such channel
        """
        context = self.context(question.channel, question.asked)
        self._compiled.tables(context)
        self._compiled.asked(context)
        self._of_families(question.families)

    def _answer_alike(
        self, questions: Sequence[Question], positions: NDArray[np.int64], fresh: FreshEvents, day: date
    ) -> list[Answer]:
        policy, question = self._compiled, questions[0]
        context = Context(question.channel or policy.policy.default_channel, day, question.asked)
        block = unseen(self._block_at(positions, fresh, day), self._hidden)  # what explains is what was scored
        decisions = self._decide(
            block, context, limit=question.limit, products=self._of_families(question.families), fresh=fresh
        )
        reasons = (
            reasons_for_block(self.bundle, block, decisions, policy, context=context) if question.with_reasons else None
        )
        found = recommendations_of(block, decisions, policy, context, self.versions, reasons)
        return [
            Answer(each, recommendation, context, block, decisions, row)
            for row, (each, recommendation) in enumerate(zip(questions, found, strict=True))
        ]

    def why_not(
        self,
        customer_id: str,
        product_id: str,
        limit: int,
        *,
        channel: str | None = None,
        asked: Iterable[str] = (),
        fresh: FreshEvents | None = None,
    ) -> WhyNot:
        """Why `recommend` does not give a product to a customer.

        Raises
        ------
        NotFound : when there is no such customer, product or channel
        """
        context = self.context(channel, asked)
        product = self.states.catalogue.position_of(product_id)
        position = self.states.positions_of([customer_id])
        heard = _heard(fresh, context.day)
        block = unseen(self._block_at(position, heard, context.day), self._hidden)
        decisions = self._decide(block, context, limit=limit, products=None, fresh=heard)
        return why_not(decisions, block, self._compiled, context, 0, product)

    def stream(
        self,
        *,
        limit: int,
        channel: str | None = None,
        products: NDArray[np.bool_] | None = None,
        fresh: FreshEvents | None = None,
    ) -> Iterator[Decisions]:
        """Decisions for everybody, a block at a time, through the same path as one customer's."""
        context = self.context(channel)
        for block in blocks_of(self.states, self.states.as_of_period):
            yield self.decide(block, context, limit=limit, products=products, fresh=fresh)

    def decide(
        self,
        block: CustomerBlock,
        context: Context,
        *,
        limit: int,
        products: NDArray[np.bool_] | None = None,
        fresh: FreshEvents | None = None,
    ) -> Decisions:
        """Lay what happened over a block of the states, score it and decide."""
        heard = _heard(fresh, context.day)
        block = unseen(heard.lay_over(block, context.day), self._hidden)
        return self._decide(block, context, limit=limit, products=products, fresh=heard)

    def _decide(
        self, block: CustomerBlock, context: Context, *, limit: int, products: NDArray[np.bool_] | None,
        fresh: FreshEvents,
    ) -> Decisions:  # fmt: skip
        propensities = self.bundle.propensities(block)
        return decide(propensities, block, self._compiled, context, limit=limit, products=products, fresh=fresh)

    def _block_at(self, positions: NDArray[np.int64], fresh: FreshEvents, day: date) -> CustomerBlock:
        return fresh.lay_over(block_of(self.states, positions, self.states.as_of_period), day)

    def _of_families(self, families: tuple[str, ...]) -> NDArray[np.bool_] | None:
        """Shape (n_products,): the products of `families`; None: of all."""
        if not families:
            return None
        catalogue = self.states.catalogue
        unknown = sorted(set(families) - set(catalogue.families))
        if unknown:
            raise NotFound(f"no product family is called {unknown[0]!r}; there are: {', '.join(catalogue.families)}")
        return np.array([product.family in families for product in catalogue.products], dtype=np.bool_)


def _heard(fresh: FreshEvents | None, day: date) -> FreshEvents:
    return FreshEvents.none() if fresh is None else fresh.by(day)


def _digest_of_catalogue(states: CustomerStates) -> str:
    rows = [asdict(product) for product in states.catalogue.products]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:12]
