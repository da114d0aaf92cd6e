"""What was found of effects: learners side by side, and uplift by group of the one that serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..evaluation import BootstrapInterval
from ..evaluation.intervals import BootstrapEstimate
from .fitting import TrialCounts
from .learner import UpliftLearner
from .metrics import BINS, Ranked, bin_name, share_name
from .trials import Trials
from .two_models import TwoModels

BASELINE = TwoModels.name
"""The learner that every other is shown beside."""

LATER, OTHERS = "later contacts", "other customers"

_SHOWN = ("qini", "auuc", share_name(0.3))


@dataclass(frozen=True)
class UpliftBin:
    """One of the groups of equal size that contacts are cut into by predicted effect, best first.

    Attributes
    ----------
    predicted : mean of the predicted effects
    measured : treated minus control
    """

    predicted: float
    measured: BootstrapInterval


@dataclass(frozen=True)
class UpliftReport:
    """The figures of learners of effects on contacts that they have not seen.

    Attributes
    ----------
    protocol : judged on contacts made later, or, where all were made at once, on other customers
    selected : the learner that serves
    with_propensities : whether the learners started from propensities
    learned_from, judged_on : how many contacts
    learners : learner -> metric -> value and interval over customers; ``training/uplift/metrics.py`` defines them
    differences : learner -> metric -> its value minus the baseline's, on the same customers
    bins : of the learner that serves
    """

    protocol: str
    selected: str
    with_propensities: bool
    learned_from: TrialCounts
    judged_on: TrialCounts
    learners: Mapping[str, Mapping[str, BootstrapInterval]]
    differences: Mapping[str, Mapping[str, BootstrapInterval]]
    bins: tuple[UpliftBin, ...]

    @classmethod
    def of(
        cls,
        learners: Mapping[str, UpliftLearner],
        trials: Trials,
        *,
        protocol: str,
        selected: str,
        learned_from: TrialCounts,
        seed: int,
        resamples: int,
    ) -> UpliftReport:
        """Judge fitted `learners`, the selected one and the baseline among them, on `trials`."""
        scores = {name: learner.effects_at(trials.rows) for name, learner in learners.items()}
        figures = {
            name: Ranked(effects, trials).figures(seed=seed, resamples=resamples) for name, effects in scores.items()
        }
        ordered = np.sort(scores[selected])[::-1]
        return cls(
            protocol=protocol,
            selected=selected,
            with_propensities=trials.design.with_propensity,
            learned_from=learned_from,
            judged_on=TrialCounts.of(trials),
            learners={name: intervals_of(found) for name, found in figures.items()},
            differences={
                name: {metric: found[metric].minus(figures[BASELINE][metric]).interval() for metric in _SHOWN}
                for name, found in figures.items()
                if name != BASELINE
            },
            bins=tuple(
                UpliftBin(float(part.mean()), figures[selected][bin_name(number)].interval())
                for number, part in enumerate(np.array_split(ordered, BINS), start=1)
            ),
        )

    def flat_metrics(self) -> dict[str, float]:
        """``uplift/<learner>/<metric>``, with ``/low`` and ``/high``: finite numbers for a tracker."""
        flat = {
            f"uplift/{learner}/{metric}{part}": value
            for learner, metrics in self.learners.items()
            for metric, found in metrics.items()
            for part, value in (("", found.value), ("/low", found.low), ("/high", found.high))
        }
        return {name: value for name, value in flat.items() if np.isfinite(value)}

    def render(self) -> Group:
        """Two tables for 100 columns."""
        asked, learned = self.judged_on, self.learned_from
        where = (
            f"{asked.sentence()}; learned from {learned.contacts:,} contacts, {learned.acquisitions:,} acquisitions."
        )
        effect = self.learners[self.selected]["average_effect"]
        return Group(
            self._learners(),
            self._bins(),
            Text(
                f"Judged on {self.protocol}: {where}\n"
                f"A contact adds {_cell(effect)} to the probability of acquiring, on average.\n"
                "qini: area between the Qini curve and a random order's, in acquisitions a treated customer. auuc: "
                "area below the uplift curve, in acquisitions a contact. uplift@30: treated minus control among the "
                "30% with the highest predicted effects. In brackets: 95% intervals over customers.",
                style="dim",
            ),
        )

    def _learners(self) -> Table:
        table = Table(title="What learners of effects are worth", box=box.SIMPLE_HEAD, pad_edge=False)
        for header in ("learner", *_SHOWN, f"qini minus\n{BASELINE}'s"):
            table.add_column(header, justify="left" if header == "learner" else "right", no_wrap=True)
        for name, metrics in sorted(self.learners.items(), key=lambda item: -item[1]["qini"].value):
            difference = self.differences.get(name)
            shown = [metrics[metric] for metric in _SHOWN] + ([difference["qini"]] if difference else [])
            cells = [_cell(found).replace(" [", "\n[", 1) for found in shown]
            chosen = name == self.selected
            table.add_row(f"{name} (serves)" if chosen else name, *cells, style="bold" if chosen else "")
        return table

    def _bins(self) -> Table:
        table = Table(title=f"Uplift by tenth of the predicted effect: {self.selected}", box=box.SIMPLE_HEAD)
        for header in ("tenth", "predicted", "measured"):
            table.add_column(header, justify="right")
        for number, group in enumerate(self.bins, start=1):
            table.add_row(str(number), f"{group.predicted:+.4f}", _cell(group.measured))
        return table


def intervals_of(figures: Mapping[str, BootstrapEstimate]) -> dict[str, BootstrapInterval]:
    """Metric -> value and interval."""
    return {metric: found.interval() for metric, found in figures.items()}


def _cell(found: BootstrapInterval) -> str:
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def uplift_sentence(metrics: Mapping[str, BootstrapInterval]) -> str:
    """What the effects that serve are worth, in words."""
    shown = ", ".join(f"{name} {_cell(metrics[name])}" for name in ("average_effect", *_SHOWN))
    return f"Effects of contacts, judged on those made since: {shown}."
