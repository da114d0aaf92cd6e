"""Run in a process of its own: which kept code a service looks for, before it listens and after, and what compiles
ahead of it.

A name says what code was compiled from and for which arguments: what one has looked for, or compiled, another finds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np

from features import kernels
from features.clock import Clock

if TYPE_CHECKING:
    from serving.answering.engine import DecisionEngine


@contextmanager
def looked_for() -> Iterator[set[str]]:
    """Names of the files looked for meanwhile."""
    found: set[str] = set()
    named = kernels._KeptCode._name

    def name(self, *arguments):
        found.add(str(self._folders()[0] / (result := named(self, *arguments))))
        return result

    with patch.object(kernels._KeptCode, "_name", name):
        yield found


def ahead() -> None:
    """As the command does."""
    from serving.deployment.compilation import compile_ahead

    compile_ahead()


def start(workspace: Path) -> DecisionEngine:
    """As a worker does before it listens."""
    from serving.deployment import warm_up
    from serving.deployment.opening import open_in_use

    engine = open_in_use(workspace, None, Clock.of()).engine
    warm_up(engine)
    return engine


def serve(workspace: Path) -> DecisionEngine:
    """Answer as the routes do."""
    from serving.answering.answer import Question
    from serving.answering.book import BookRanking
    from serving.answering.overview import overview_of
    from serving.decisions import FreshEvent, FreshEvents

    engine = start(workspace)
    states, day = engine.states, engine.day()
    product_id = states.catalogue.product_ids[0]
    everybody = np.arange(states.n_customers)
    some = states.ids_of(everybody[:: max(1, len(everybody) // 200)])
    for kind, told in (
        ("opened", {"product_id": product_id}),
        ("closed", {"product_id": product_id}),
        ("consent", {"purpose": "marketing", "granted": False}),
        ("complaint_opened", {}),
        ("outcome", {"product_id": product_id, "channel": "rm", "outcome": "declined"}),
        ("balance_jump", {"amount": 1e6}),
    ):
        fresh = FreshEvents.of(states, [FreshEvent(some[0], kind, day, **told)])
        engine.recommend(some[0], 5, fresh=fresh)
        engine.why_not(some[0], product_id, 5, fresh=fresh)
        overview_of(engine, some[0], fresh)
    for n in (1, 3, 20, 33, 48):
        for start_at in range(0, len(some), n):
            engine.answer([Question(each, 5) for each in some[start_at : start_at + n]])
    engine.recommend(some[-1], 5, asked=[product_id])
    for _ in BookRanking(engine, everybody, FreshEvents.none(), limit=3).steps():
        pass
    return engine


def make_list(workspace: Path) -> None:
    """As a service does, and the command that makes a target list."""
    for _ in serve(workspace).stream(limit=3):
        pass


if __name__ == "__main__":
    way, *workspaces = sys.argv[1:]
    with looked_for() as names:
        if way == "ahead":
            ahead()
        for each in workspaces:
            {"start": start, "serve": serve, "list": make_list}[way](Path(each))
    sys.stdout.write(json.dumps(sorted(names)))
