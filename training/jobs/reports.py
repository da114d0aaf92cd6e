"""The reports kept in a workspace: figures as JSON, and the page that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from features import CustomerStates

from ..evaluation import EvaluationReport
from ..evaluation.backtest import Backtest
from ..evaluation.importance import Importance
from ..evaluation.learning_curve import LearningCurve
from ..evaluation.page import render_page
from ..evaluation.page_tables import ProductName
from ..evaluation.report import Subject
from ..evaluation.serial import from_json

FOLDER = Path("reports")
EVALUATION = FOLDER / "evaluation.json"
PAGE = FOLDER / "evaluation.html"
IMPORTANCE = FOLDER / "importance.json"
LEARNING_CURVE = FOLDER / "learning_curve.json"
BACKTEST = FOLDER / "backtest.json"

Result = TypeVar("Result")


@dataclass(frozen=True)
class KeptResult(Generic[Result]):
    """A result and what it is of: another champion's is not shown beside this one's figures."""

    subject: Subject
    result: Result


def evaluation_page(workspace: Path, report: EvaluationReport, states: CustomerStates) -> str:
    """The page of `report`, with what else was kept of the same champion and the same states."""
    backtest = _read(workspace / BACKTEST, Backtest)
    return render_page(
        report,
        {
            product.product_id: ProductName(product.name, product.name_zh, product.family)
            for product in states.catalogue.products
        },
        importance=_of_subject(workspace / IMPORTANCE, KeptResult[Importance], report.subject),
        learning_curve=_of_subject(workspace / LEARNING_CURVE, KeptResult[LearningCurve], report.subject),
        backtest=backtest if backtest and backtest.build_id == states.manifest.build_id else None,
    )


def _of_subject(path: Path, kind: type[KeptResult[Result]], subject: Subject | None) -> Result | None:
    kept = _read(path, kind)
    return kept.result if kept is not None and kept.subject == subject else None


def _read(path: Path, kind: type[Result]) -> Result | None:
    """What is kept in `path`; None when there is nothing, or nothing that this version understands."""
    try:
        return from_json(kind, path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
