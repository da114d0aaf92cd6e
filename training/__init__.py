"""What we learn of what is known: examples, models, calibration, evaluation, bundles, the jobs that make them.

Names are loaded on first use: `nextproduct --help` must not pay for what it does not show.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundle import Bundle
    from .config import EvaluationConfig, TrainingConfig, TuningConfig
    from .examples import Batch, DatedExamples, Examples, HiddenHoldings
    from .explanations.contributions import Contributions
    from .jobs.backtest import backtest
    from .jobs.evaluate import compare_models, evaluate
    from .jobs.train import retrain, train
    from .ranking import scores_at, top_k
    from .tracking import CHAMPION, Tracking
    from .tuning.search import tune

_MODULES = {
    "bundle": ("Bundle",),
    "config": (
        "EvaluationConfig",
        "TrainingConfig",
        "TuningConfig",
    ),
    "explanations.contributions": ("Contributions",),
    "examples": (
        "Batch",
        "DatedExamples",
        "Examples",
        "HiddenHoldings",
    ),
    "jobs.backtest": ("backtest",),
    "jobs.evaluate": (
        "compare_models",
        "evaluate",
    ),
    "jobs.train": (
        "retrain",
        "train",
    ),
    "ranking": (
        "scores_at",
        "top_k",
    ),
    "tracking": (
        "CHAMPION",
        "Tracking",
    ),
    "tuning.search": ("tune",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "CHAMPION",
    "Batch",
    "Bundle",
    "Contributions",
    "DatedExamples",
    "EvaluationConfig",
    "Examples",
    "HiddenHoldings",
    "Tracking",
    "TrainingConfig",
    "TuningConfig",
    "backtest",
    "compare_models",
    "evaluate",
    "retrain",
    "scores_at",
    "top_k",
    "train",
    "tune",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
