"""Settings of the training and evaluation jobs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from features import CustomerStates
from features.errors import BadInput

from .evaluation.metrics import check_ranking_metric
from .examples import Split, split
from .models import MODELS, Model
from .models.als import ALSConfig
from .models.association_rules import AssociationRulesConfig
from .models.bpr import BPRConfig
from .models.ease import EASEConfig
from .models.item_item import ItemItemConfig
from .models.popularity import PopularityConfig
from .models.propensity import PropensityConfig
from .models.transition import TransitionConfig
from .uplift import LEARNERS, UpliftConfig


class TrainingConfig(BaseModel):
    """Settings of ``train`` and ``retrain``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizon: int = Field(default=1, ge=1, le=12)
    """Periods within which an acquisition counts."""
    train_periods: int = Field(default=36, ge=1)
    """Dates to learn from, fewer where the history is shorter."""
    validation_periods: int = Field(default=2, ge=1)
    """Dates after those to calibrate and select on."""
    test_periods: int = Field(default=2, ge=1)
    """Newest dates kept unseen, for `evaluate` and for comparing challenger with champion."""
    models: tuple[str, ...] = tuple(MODELS)
    """Models to fit; their blend serves, unless one of them is better on the validation dates beyond noise."""
    select_by: str = "map@7"
    """Metric by which a model is selected and a challenger judged."""
    margin: float = Field(default=0.05, ge=0, le=1)
    """Non-inferiority margin of `retrain`: a challenger is promoted when the interval of its difference from the
    champion lies above minus this share of the champion's metric."""
    seed: int = 1
    """Of everything drawn at random in a run."""
    popularity: PopularityConfig = PopularityConfig()
    item_item: ItemItemConfig = ItemItemConfig()
    als: ALSConfig = ALSConfig()
    bpr: BPRConfig = BPRConfig()
    ease: EASEConfig = EASEConfig()
    association_rules: AssociationRulesConfig = AssociationRulesConfig()
    transition: TransitionConfig = TransitionConfig()
    propensity: PropensityConfig = PropensityConfig()
    uplift: UpliftConfig = UpliftConfig()

    @field_validator("models")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in MODELS]
        if unknown or not names:
            raise ValueError(f"unknown model {unknown}; there are: {', '.join(MODELS)}")
        if "popularity" not in names:
            raise ValueError("popularity must be among the models: it is what every other is judged beside")
        return names

    @field_validator("uplift")
    @classmethod
    def _known_learner(cls, uplift: UpliftConfig) -> UpliftConfig:
        if uplift.learner not in LEARNERS:
            raise ValueError(f"unknown learner {uplift.learner!r}; there are: {', '.join(LEARNERS)}")
        return uplift

    @field_validator("select_by")
    @classmethod
    def _metric(cls, name: str) -> str:
        try:
            check_ranking_metric(name)
        except BadInput as error:
            raise ValueError(str(error)) from error
        return name

    def split(self, states: CustomerStates) -> Split:
        """What to learn from, to validate on, and to keep unseen.

        Raises
        ------
        BadInput : when the history is too short for three parts
        """
        return split(
            states,
            horizon=self.horizon,
            train_periods=self.train_periods,
            validation_periods=self.validation_periods,
            test_periods=self.test_periods,
            seed=self.seed,
        )

    def new_model(self, name: str) -> Model:
        """An unfitted model with its settings."""
        return MODELS[name](getattr(self, name))


def metric_k(name: str) -> int:
    """The length of list in a metric's name: 7 of ``map@7``."""
    return int(name.partition("@")[2])


class EvaluationConfig(BaseModel):
    """Settings of ``evaluate``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ks: tuple[int, ...] = (1, 3, 5, 7)
    """Lengths of list at which ranking metrics are taken."""
    resamples: int = Field(default=200, ge=20)
    """Bootstrap resamples behind each interval."""
    seed: int = 1
    """Of the resampling and of what is drawn for importance and learning curve."""
    selected_k: int = Field(default=3, ge=1)
    """How many first offers of a customer are "selected", when calibration is judged where it matters."""
    backtest_origins: int = Field(default=4, ge=1)
    """Days of the past on which ``backtest`` trains anew."""
    backtest_step: int = Field(default=2, ge=1)
    """Periods between them."""
    learning_curve: tuple[float, ...] = (0.1, 0.3)
    """Shares of the training customers that ``evaluate --full`` fits on, beside all of them."""
    importance_rows: int = Field(default=3000, ge=100)
    """Customers and dates with an acquisition that ``evaluate --full`` permutes features of, at most."""
    importance_repeats: int = Field(default=3, ge=1)
    """Permutations of each feature or group of features."""

    @field_validator("learning_curve")
    @classmethod
    def _shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < share < 1 for share in shares):
            raise ValueError("shares of the training customers lie between 0 and 1; all of them are shown anyway")
        return tuple(sorted(set(shares)))


class TuningConfig(BaseModel):
    """Settings of ``tune``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(default=10.0, gt=0)
    """Time after which no further trial begins."""
    trials: int = Field(default=100, ge=1)
    """Trials of a study in all, those of earlier runs included."""
    periods: int = Field(default=3, ge=1)
    """Newest training dates to judge trials on; they learn from the earlier ones."""
    max_rows: int = Field(default=200_000, ge=1000)
    """Customers and dates to judge on; of more than that, as many are drawn at random."""
    resamples: int = Field(default=200, ge=20)
    """Bootstrap resamples behind the interval of the gain."""
    seed: int = 1
    """Of the search and the resampling."""
