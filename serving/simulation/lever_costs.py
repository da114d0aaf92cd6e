"""What the business's levers cost: what would be earned more if each were not there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from rich.progress import Progress

from ..decisions import Policy
from ..decisions.policy.sections import Lever
from .outcomes import Difference, compare
from .scenarios import ScenarioOf


@dataclass(frozen=True)
class LeverCost:
    """What one lever does, all others being in place.

    Attributes
    ----------
    without : what is shown without it instead
    """

    lever: Lever
    without: Difference

    @property
    def cost(self) -> float:
        """Expected value of what is shown without it minus with it: what the bank gives up for it."""
        return self.without.expected_value

    @property
    def customers(self) -> int:
        """To whom something else is shown because of it, or the same in another order."""
        return self.without.customers

    @property
    def offers_moved(self) -> int:
        """Offers that are shown because of it, each in the place of another one."""
        return int(self.without.lost.sum())

    def to_dict(self, product_ids: tuple[str, ...]) -> dict[str, Any]:
        """For JSON; by product, offers ``gained`` and ``lost`` when the lever goes."""
        return {
            **_described(self.lever),
            "cost": self.cost,
            "customers": self.customers,
            "offers_moved": self.offers_moved,
            "without_it": self.without.to_dict(product_ids)["products"],
        }


@dataclass(frozen=True)
class LeverCosts:
    """What a policy's levers cost, over everybody.

    Attributes
    ----------
    expected_value : sum of propensity x value of what is shown, all levers in place
    levers : those that work on `day` through `channel`
    idle : those that have ended, or are for other channels
    together : what is shown without any of them. Costs do not add up: two levers may push the same customers
    """

    policy: str
    channel: str
    day: date
    product_ids: tuple[str, ...]
    customers: int
    expected_value: float
    levers: tuple[LeverCost, ...]
    idle: tuple[Lever, ...]
    together: Difference

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "policy": self.policy,
            "channel": self.channel,
            "day": self.day.isoformat(),
            "customers": self.customers,
            "expected_value": self.expected_value,
            "levers": [one.to_dict(self.product_ids) for one in self.levers],
            "idle": [_described(lever) for lever in self.idle],
            "together": {
                "cost": self.together.expected_value,
                "customers": self.together.customers,
                "offers_moved": int(self.together.lost.sum()),
            },
        }


def lever_costs(policy: Policy, scenario_of: ScenarioOf, *, limit: int, progress: Progress | None = None) -> LeverCosts:
    """Decide on everybody with all levers, without each, and without any.

    Parameters
    ----------
    scenario_of : from a policy to the scenario in which it is in use
    limit : offers a customer gets at most
    """
    base = scenario_of(policy)
    context = base.context
    working = [
        lever
        for lever in policy.levers
        if context.day <= lever.expires and (not lever.scope.channel or context.channel in lever.scope.channel)
    ]
    leaving = [{lever.rule} for lever in working]
    if len(working) > 1:
        leaving.append({lever.rule for lever in working})
    scenarios = [replace(scenario_of(_without(policy, names)), score=base.score) for names in leaving]
    simulation, differences = compare(base, scenarios, limit=limit, progress=progress)
    return LeverCosts(
        policy=policy.name,
        channel=context.channel,
        day=context.day,
        product_ids=simulation.product_ids,
        customers=simulation.customers,
        expected_value=simulation.expected_value,
        levers=tuple(LeverCost(lever, found) for lever, found in zip(working, differences, strict=False)),
        idle=tuple(lever for lever in policy.levers if lever not in working),
        together=differences[-1] if differences else Difference.none(len(simulation.product_ids)),
    )


def _without(policy: Policy, names: Collection[str]) -> Policy:
    return policy.model_copy(update={"levers": tuple(lever for lever in policy.levers if lever.rule not in names)})


def _described(lever: Lever) -> dict[str, Any]:
    return {
        "rule": lever.rule,
        "factor": lever.factor,
        "owner": lever.owner,
        "expires": lever.expires.isoformat(),
    }
