"""How good suggestions are, told offline: metrics, intervals over customers, the evaluator, its report."""

from .evaluator import BASELINE, Evaluation, EvaluationBatch, EvaluationCounts, evaluate_scorers
from .intervals import BootstrapInterval, paired_difference
from .metrics import DENOMINATORS
from .probabilities import ProductFigures
from .report import EvaluationReport

__all__ = [
    "BASELINE",
    "DENOMINATORS",
    "BootstrapInterval",
    "Evaluation",
    "EvaluationBatch",
    "EvaluationCounts",
    "EvaluationReport",
    "ProductFigures",
    "evaluate_scorers",
    "paired_difference",
]
