"""The backtest: what training would have brought on days of the past, told together.

Each origin is such a day. How it is reached (the tables as they were, the models anew) is the job's matter; here its
outcome is kept and put together with those of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .evaluator import BASELINE
from .intervals import BootstrapInterval
from .outcomes import PERFECT, TRUTH, Outcomes


@dataclass(frozen=True)
class Origin:
    """One day of the past.

    Attributes
    ----------
    as_of : the last day whose tables were there
    selected : the model that would have served
    rows, customers, acquirers, acquisitions : as `EvaluationCounts` has them
    models : model -> metric -> value and interval
    difference : the selected model's value by the backtest's metric minus the baseline's, paired by customer
    """

    as_of: str
    selected: str
    rows: int
    customers: int
    acquirers: int
    acquisitions: int
    models: Mapping[str, Mapping[str, BootstrapInterval]]
    difference: BootstrapInterval


@dataclass(frozen=True)
class Backtest:
    """All origins, and all of them together.

    Attributes
    ----------
    build_id : the states whose tables were gone back in
    metric : by which models are selected and compared
    origins : oldest first
    pooled : model -> the metric over the rows of all origins; the rows of a customer are one unit throughout
    differences : model -> its pooled value minus the baseline's, paired by customer
    share_of_ceiling : model -> its pooled value over a perfect ranking's
    as_selected : the pooled value of what would have served at each origin, and its difference from the baseline's
    """

    build_id: str
    metric: str
    origins: tuple[Origin, ...]
    pooled: Mapping[str, BootstrapInterval]
    differences: Mapping[str, BootstrapInterval]
    share_of_ceiling: Mapping[str, BootstrapInterval]
    as_selected: BootstrapInterval
    as_selected_difference: BootstrapInterval


_SERVED = "(selected)"


def pooled(
    build_id: str, metric: str, origins: Sequence[tuple[Origin, Outcomes]], *, seed: int, resamples: int
) -> Backtest:
    """Put the origins together.

    Parameters
    ----------
    origins : oldest first, each with the outcomes of its rows, whose customers are numbered alike; a model that is not
        in all of them (a blend that came to nothing on one day) counts in `as_selected` alone
    """
    common = set.intersection(*(set(outcomes.values) for _, outcomes in origins)) - {TRUTH}
    parts = []
    for origin, outcomes in origins:
        own = {name: values for name, values in outcomes.values.items() if name in common}
        own[_SERVED] = outcomes.values[origin.selected]
        parts.append(Outcomes(outcomes.metrics, own, outcomes.acquirers, outcomes.clusters))
    found = {
        name: estimates[metric]
        for name, estimates in Outcomes.joined(parts).estimates(seed=seed, resamples=resamples).items()
    }
    models = [name for name in found if name not in (PERFECT, _SERVED)]
    return Backtest(
        build_id=build_id,
        metric=metric,
        origins=tuple(origin for origin, _ in origins),
        pooled={name: found[name].interval() for name in models},
        differences={name: found[name].minus(found[BASELINE]).interval() for name in models if name != BASELINE},
        share_of_ceiling={name: found[name].over(found[PERFECT]).interval() for name in models},
        as_selected=found[_SERVED].interval(),
        as_selected_difference=found[_SERVED].minus(found[BASELINE]).interval(),
    )
