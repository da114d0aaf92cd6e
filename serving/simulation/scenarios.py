"""Scenarios: a policy on an occasion, and everybody decided on as if it were in use.

Each block is scored once and decided on by one scenario after the other: twenty policies cost one run of the models,
and the memory of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from features import CustomerBlock, blocks_of
from features.errors import BadInput

from ..answering.engine import DecisionEngine
from ..decisions import CompiledPolicy, Context, Decisions, FreshEvents, Policy, Score, decide

_NOTHING = FreshEvents.none()


@dataclass(frozen=True)
class Scenario:
    """A policy on an occasion, and the propensities that it decides on.

    Attributes
    ----------
    score : one object for all scenarios whose propensities are the same: they are computed once a block
    fresh : what happened since the states were built; nothing, of a period of the past
    """

    policy: CompiledPolicy
    context: Context
    score: Score
    fresh: FreshEvents = _NOTHING

    @classmethod
    def of(
        cls,
        policy: CompiledPolicy,
        score: Score,
        *,
        channel: str | None = None,
        day: date | None = None,
        fresh: FreshEvents | None = None,
    ) -> Scenario:
        """By default through the policy's first channel, on the last day of its period, and nothing happened since.

        Raises
        ------
        NotFound : when the policy has no such channel
        """
        last = policy.states.calendar.end_of(policy.period)
        context = Context(channel or policy.policy.default_channel, day or last)
        policy.tables(context)
        return cls(policy, context, score, FreshEvents.none() if fresh is None else fresh)


ScenarioOf = Callable[[Policy], Scenario]
"""From a policy to the scenario in which it is in use."""


def scenarios_of(engine: DecisionEngine, channel: str | None, fresh: FreshEvents) -> ScenarioOf:
    """From a policy to its use by `engine` now, after what has happened, through the policy's first channel if
    none is named."""

    def scenario_of(policy: Policy) -> Scenario:
        compiled = engine.compiled_for(policy)
        day = compiled.decision_day(engine.clock.today())
        return Scenario.of(compiled, engine.score_for(policy), channel=channel, day=day, fresh=fresh)

    return scenario_of


def decided(
    scenarios: Sequence[Scenario], *, limit: int, scores: Scores | None = None, progress: Progress | None = None
) -> Iterator[tuple[int, CustomerBlock, Decisions]]:
    """Decisions on everyone known at the scenarios' period: by block, and in each block by scenario, with its number.

    Parameters
    ----------
    scores : where others ask for the same propensities

    Raises
    ------
    BadInput : when the scenarios are of different states or periods
    """
    if not scenarios:
        return
    states, period = scenarios[0].policy.states, scenarios[0].policy.period
    if any(scenario.policy.states is not states or scenario.policy.period != period for scenario in scenarios):
        raise BadInput("policies can only be compared on the same states and period")
    scores = scores or Scores()
    total = len(states.known_at(period)) * len(scenarios)
    task = progress.add_task(_described(len(scenarios)), total=total) if progress else None
    for block in blocks_of(states, period):
        for number, scenario in enumerate(scenarios):
            fresh, laid_over = scores.laid_over(scenario, block)
            propensities = scores.of(scenario.score, laid_over)
            yield (
                number,
                laid_over,
                decide(propensities, laid_over, scenario.policy, scenario.context, limit=limit, fresh=fresh),
            )
            if progress and task is not None:
                progress.advance(task, block.n_customers)


class Scores:
    """Propensities of one block at a time, whatever is laid over it; every score is computed once."""

    def __init__(self) -> None:
        self._block: CustomerBlock | None = None
        self._laid_over: dict[tuple[int, date], tuple[FreshEvents, CustomerBlock]] = {}
        self._found: dict[tuple[int, Score], tuple[CustomerBlock, NDArray[np.float32]]] = {}

    def laid_over(self, scenario: Scenario, block: CustomerBlock) -> tuple[FreshEvents, CustomerBlock]:
        """What a scenario hears of by its day, and `block` with that laid over it: the same for all scenarios of a
        day. What belongs to the block before is forgotten."""
        if block is not self._block:
            self._block, self._laid_over, self._found = block, {}, {}
        key = id(scenario.fresh), scenario.context.day
        if key not in self._laid_over:
            fresh = scenario.fresh.by(scenario.context.day)
            self._laid_over[key] = fresh, fresh.lay_over(block, scenario.context.day)
        return self._laid_over[key]

    def of(self, score: Score, block: CustomerBlock) -> NDArray[np.float32]:
        """What `score` gives for `block`, one that `laid_over` gave."""
        key = id(block), score
        if key not in self._found:
            self._found[key] = block, score(block)
        return self._found[key][1]


def _described(n_scenarios: int) -> str:
    return "Deciding on everybody" if n_scenarios == 1 else f"Deciding by {n_scenarios} policies"
