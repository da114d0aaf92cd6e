"""What `tune` may change of each model's settings, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Setting = int | float | str | None
"""The value of a field that can be tuned."""


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both included; tried evenly by its logarithm."""

    low: int
    high: int

    def distribution(self, current: Any) -> BaseDistribution:
        """What to draw from; it always holds the `current` value."""
        from optuna.distributions import IntDistribution

        return IntDistribution(min(self.low, current), max(self.high, current), log=True)

    def setting(self, drawn: Any) -> Setting:
        """The setting of a value drawn."""
        return int(drawn)


@dataclass(frozen=True)
class Real:
    """A number above 0, from `low` to `high`, tried evenly by its logarithm and to three digits."""

    low: float
    high: float

    def distribution(self, current: Any) -> BaseDistribution:
        """What to draw from; it always holds the `current` value."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(min(self.low, current), max(self.high, current), log=True)

    def setting(self, drawn: Any) -> Setting:
        """The setting of a value drawn."""
        return float(f"{drawn:.3g}")


@dataclass(frozen=True)
class Choice:
    """One of `values`."""

    values: tuple[int | str, ...]

    def distribution(self, current: Any) -> BaseDistribution:
        """What to draw from; it always holds the `current` value."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(list(dict.fromkeys((*self.values, current))))

    def setting(self, drawn: Any) -> Setting:
        """The setting of a value drawn."""
        found: Setting = drawn
        return found


Range = Whole | Real | Choice

SEARCH_SPACES: dict[str, dict[str, Range]] = {
    "popularity": {"window": Choice((2, 3, 6, 12, 18, 24)), "shrinkage": Real(5.0, 5000.0)},
    "item_item": {"weighting": Choice(("cosine", "tfidf", "bm25")), "neighbours": Whole(3, 100)},
    "als": {"factors": Whole(4, 64), "regularization": Real(0.1, 20.0), "alpha": Real(1.0, 50.0)},
    "bpr": {
        "factors": Whole(4, 64),
        "iterations": Whole(10, 200),
        "learning_rate": Real(0.005, 0.3),
        "regularization": Real(0.0005, 0.3),
    },
    "ease": {"l2": Real(1.0, 20_000.0)},
    "association_rules": {"min_support": Whole(3, 100), "shrinkage": Real(3.0, 1000.0)},
    "transition": {"shrinkage": Real(3.0, 1000.0), "min_rows": Whole(5, 500)},
    "propensity": {
        "any_rounds": Whole(40, 400),
        "any_leaves": Whole(4, 63),
        "choice_l1": Real(0.02, 0.5),
        "choice_carried": Real(0.3, 1.0),
        "choice_rounds": Whole(10, 300),
        "choice_leaves": Whole(2, 16),
        "learning_rate": Real(0.02, 0.2),
        "min_rows": Whole(10, 500),
        "column_share": Real(0.1, 1.0),
    },
}
"""Model -> field of its config -> range. A model not listed has nothing to tune."""
