"""What notebooks and programs ask: what a workspace suggests, and what its policies would offer everybody.

>>> from serving import Recommender, simulate
>>> recommender = Recommender.open("workspace")
>>> offers = recommender.recommend("C000001", 3)
>>> offers.customer_id
'C000001'
>>> len(offers.suggestions) <= 3
True
>>> (everybody,) = simulate(recommender, limit=3)
>>> everybody.customers == recommender.states.n_customers
True
>>> recommender.close()
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import Progress

from features import CustomerStates
from features.files import AnyPath

from .answering.recommendation import Recommendation, Versions
from .decisions import Policy
from .decisions.why_not import WhyNot
from .deployment import Door
from .simulation.outcomes import Simulation, simulated
from .simulation.scenarios import scenarios_of


class Recommender:
    """What is in use in a workspace, opened together, answering with what has happened until it is asked.

    It only looks: nothing goes on record. What is shown to a customer is asked of the service.
    """

    def __init__(self, door: Door) -> None:
        self.door = door
        self._opened = ExitStack()

    @classmethod
    def open(cls, workspace: AnyPath, *, config: AnyPath | None = None, tracking_uri: str | None = None) -> Self:
        """Open what is in use in `workspace`, for a ``with`` statement or until `close`.

        Parameters
        ----------
        config : the configuration file; None: the workspace's own, if there is one
        tracking_uri : where the registry of models is; None: in the workspace

        Raises
        ------
        NotReady : when states or champion are missing; when the states are too old to decide from
        RecordsUnavailable : when the records cannot be reached, or are gone: what has happened is not known then
        NotFound, BadInput, BadConfiguration : when what is in use, or the configuration, cannot be used
        """
        opened = ExitStack()
        door = opened.enter_context(Door.opened(Path(workspace), Path(config) if config else None, tracking_uri))
        recommender = cls(door)
        recommender._opened = opened
        return recommender

    def close(self) -> None:
        """Let go of the records."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def states(self) -> CustomerStates:
        """What is known of every customer."""
        return self.door.engine.states

    @property
    def policy(self) -> Policy:
        """The policy in use."""
        return self.door.engine.policy.policy

    @property
    def versions(self) -> Versions:
        """Of model, states, policy and catalogue."""
        return self.door.engine.versions

    def recommend(
        self, customer_id: str, limit: int | None = None, *, channel: str | None = None, asked: Iterable[str] = ()
    ) -> Recommendation:
        """Suggestions for one customer, best first, each with its reasons.

        Parameters
        ----------
        limit : suggestions at most; None: as configured
        channel : through which the customer would be contacted; None: the policy's first
        asked : ids of products the client asked for

        Raises
        ------
        NotFound : when there is no such customer, product or channel
        RecordsUnavailable : when what has happened cannot be read
        """
        return self.door.engine.recommend(
            customer_id,
            limit or self.door.config.default_limit,
            channel=channel,
            asked=asked,
            fresh=self.door.happened_to([customer_id]),
        )

    def why_not(
        self,
        customer_id: str,
        product_id: str,
        limit: int | None = None,
        *,
        channel: str | None = None,
        asked: Iterable[str] = (),
    ) -> WhyNot:
        """Why `recommend` does not give a product to a customer: the layer, the rule and the figures.

        Raises
        ------
        NotFound, RecordsUnavailable : as of `recommend`
        """
        return self.door.engine.why_not(
            customer_id,
            product_id,
            limit or self.door.config.default_limit,
            channel=channel,
            asked=asked,
            fresh=self.door.happened_to([customer_id]),
        )


def simulate(
    recommender: Recommender,
    policies: Sequence[Policy] | None = None,
    *,
    limit: int | None = None,
    channel: str | None = None,
    progress: Progress | None = None,
) -> list[Simulation]:
    """What each of some policies would offer everybody now, in place of the one in use.

    Parameters
    ----------
    policies : None: the policy in use alone
    limit : offers a customer gets at most; None: as configured
    channel : through which customers would be contacted; None: each policy's first

    Raises
    ------
    NotFound : when a policy has no such channel
    RecordsUnavailable : when what has happened cannot be read
    """
    door = recommender.door
    scenario_of = scenarios_of(door.engine, channel, door.happened())
    scenarios = [scenario_of(policy) for policy in ([recommender.policy] if policies is None else policies)]
    return simulated(scenarios, limit=limit or door.config.default_limit, progress=progress)
