"""Settings of the uplift models."""

from __future__ import annotations

from pydantic import Field

from ..models import ModelConfig


class UpliftConfig(ModelConfig):
    """Settings of the uplift models and of ``uplift``."""

    learner: str = "stacked"
    """Which learner serves: "stacked", "r_learner", "odds_learner" or "two_models"."""
    min_contacts: int = Field(default=1000, ge=20)
    """Contacts with a randomised arm below which nothing is learned of effects."""
    min_acquisitions: int = Field(default=50, ge=2)
    """Acquisitions after such contacts below which nothing is learned of effects."""
    max_contacts: int = Field(default=60_000, ge=1000)
    """Newest contacts learned from."""
    test_periods: int = Field(default=6, ge=1)
    """Newest periods of contacts that ``uplift`` keeps unseen."""
    folds: int = Field(default=3, ge=2)
    """Parts of the customers, each judged by models that have not seen it."""
    outcome_rounds: int = Field(default=30, ge=1)
    """Trees of the model of how likely an acquisition is anyway."""
    outcome_leaves: int = Field(default=6, ge=2)
    """Leaves of each of them."""
    outcome_ridge: float = Field(default=5.0, ge=0)
    """Ridge penalty on their leaves."""
    outcome_column_share: float = Field(default=0.3, gt=0, le=1)
    """Share of the columns each of them may use."""
    effect_rounds: int = Field(default=100, ge=1)
    """Trees of the model of effects, at most."""
    effect_leaves: int = Field(default=3, ge=2)
    """Leaves of each of them."""
    effect_column_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the columns each of them may use: of columns that say nearly the same, none is trusted alone."""
    effect_evidence: float = Field(default=1.0, ge=0)
    """What a difference in effects must be worth to be believed, in units of the Bayesian information criterion's price
    of a parameter, log(contacts) (Schwarz 1978)."""
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    """Shrinkage of each tree."""
    min_rows: int = Field(default=100, ge=1)
    """Contacts a leaf needs."""
    seed: int = 1
    """Of the draws of folds and columns."""
