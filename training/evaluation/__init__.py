"""How good suggestions are, told offline: metrics, intervals over customers, the evaluator, its report."""

from .evaluator import Evaluation, EvaluationBatch, EvaluationCounts, ProductFigures, evaluate
from .intervals import BootstrapInterval, paired_difference
from .metrics import DENOMINATORS
from .report import EvaluationReport

__all__ = [
    "DENOMINATORS",
    "BootstrapInterval",
    "Evaluation",
    "EvaluationBatch",
    "EvaluationCounts",
    "EvaluationReport",
    "ProductFigures",
    "evaluate",
    "paired_difference",
]
