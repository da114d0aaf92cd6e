"""Run in a process of its own: which kept code a service, or what compiles ahead of it, looks for.

A name says what code was compiled from and for which arguments: what one has looked for, or compiled, another finds.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

from features import kernels
from features.clock import Clock


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


def serve(workspace: Path) -> None:
    """Open what is in use and answer as the routes do."""
    from serving.answer import Question
    from serving.book import BookRanking
    from serving.decisions import FreshEvent, FreshEvents
    from serving.deployment import warm_up
    from serving.deployment.opening import open_in_use
    from serving.overview.overview import overview_of

    recommender = open_in_use(workspace, None, Clock.of(None)).recommender
    warm_up(recommender)
    states, day = recommender.states, recommender.day()
    product_id = states.catalogue.product_ids[0]
    everybody = np.arange(states.n_customers)
    some = states.ids_of(everybody[:: max(1, len(everybody) // 200)])
    for kind, told in (
        ("opened", {"product_id": product_id}),
        ("closed", {"product_id": product_id}),
        ("consent", {"purpose": "marketing", "granted": False}),
        ("outcome", {"product_id": product_id, "channel": "rm", "outcome": "declined"}),
        ("balance_jump", {"amount": 1e6}),
    ):
        fresh = FreshEvents.of(states, [FreshEvent(some[0], kind, day, **told)])
        recommender.recommend(some[0], 5, fresh=fresh)
        recommender.why_not(some[0], product_id, 5, fresh=fresh)
        overview_of(recommender, some[0], fresh)
    for n in (1, 3, 33, 48):
        for start in range(0, len(some), n):
            recommender.answer([Question(each, 5) for each in some[start : start + n]])
    recommender.recommend(some[-1], 5, asked=[product_id])
    for _ in BookRanking(recommender, everybody, FreshEvents.none(), limit=3).steps():
        pass
    for _ in recommender.stream(limit=3):
        pass


if __name__ == "__main__":
    with looked_for() as names:
        ahead() if sys.argv[1] == "ahead" else [serve(Path(each)) for each in sys.argv[1:]]
    sys.stdout.write(json.dumps(sorted(names)))
