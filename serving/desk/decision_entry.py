"""A decision as it stands in the records: what was shown and to whom, what was excluded and why, every factor, the
versions, and the state from which it was decided."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson

from features.contracts import RISK_LEVELS

from ..access import Principal
from ..answering.answer import Answer, Question
from ..decisions.reason_codes import reasons_in
from ..language import Language
from ..records import Entry
from ..records.entries import DECISION
from ..records.formats import FORMAT
from ..software import SOFTWARE
from .caller import caller_of


class Asked(NamedTuple):
    """A question, who asks it, and in which language the answer is given.

    Attributes
    ----------
    request_id : names the request in the service's log
    """

    question: Question
    language: Language
    principal: Principal
    request_id: str

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the records."""
        return self.question.to_record() | {"language": self.language.value}


def question_of(request: dict[str, Any]) -> tuple[Question, Language]:
    """The question, and the language of its answer, that `Asked.to_dict` put on record, as `decision_in` reads it."""
    return Question.from_record(request), Language(request["language"])


def shown(answer: Answer, language: Language, decision_id: str) -> bytes:
    """What is answered: JSON, the same bytes whenever it is decided again."""
    return orjson.dumps({"decision_id": decision_id} | answer.recommendation.to_dict(language))


def decision_entry(
    answer: Answer, body: bytes, asked: Asked, *, decision_id: str, deployment: int, events: Sequence[str]
) -> Entry:
    """`answer` for the records.

    Parameters
    ----------
    body : what is answered, see `shown`
    events : ids of the entries that were laid over the states
    """
    content = {
        "format": FORMAT,
        "decision_id": decision_id,
        "caller": caller_of(asked.principal),
        "request_id": asked.request_id,
        "request": asked.to_dict(),
        "day": answer.context.day.isoformat(),
        "deployment": deployment,
        "software": SOFTWARE,
        "versions": answer.recommendation.versions.to_dict(),
        "state": _state(answer) | {"events": events},
        "excluded": _excluded(answer),
        "factors": _factors(answer),
        "exploration": None,  # nothing is drawn at random: there is no propensity of having been shown
        "answer": orjson.Fragment(body),
    }
    return Entry(
        DECISION, decision_id, asked.question.customer_id, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    )


def answer_in(record: dict[str, Any]) -> bytes:
    """The bytes that were answered."""
    return orjson.dumps(record["answer"])


def day_in(record: dict[str, Any]) -> date:
    """The day of a decision on record."""
    return date.fromisoformat(record["day"])


def features_digest(answer: Answer) -> str:
    """SHA-256 of what the models saw of the customer."""
    features: np.ndarray = answer.block.features[answer.row]
    return hashlib.sha256(features.tobytes()).hexdigest()


def _state(answer: Answer) -> dict[str, Any]:
    """The customer as the decision saw it; the digest tells whether the features were the same."""
    block, row, facts = answer.block, answer.row, answer.decisions.facts
    products = block.states.catalogue.products
    level = facts.levels.item(row)
    return {
        "position": block.positions.item(row),
        "holdings": [products[product].product_id for product in block.held[row].nonzero()[0].tolist()],
        "features": features_digest(answer),
        "age": facts.ages.item(row),
        "tier": facts.tiers.item(row),
        "risk_level": RISK_LEVELS[level - 1] if level else None,
        "assets": facts.assets.item(row),
        "debts": facts.debts.item(row),
    }


def _excluded(answer: Answer) -> dict[str, tuple[str, ...]]:
    """Every reason against each product, the first one first; those without were shown or not in question."""
    products = answer.block.states.catalogue.product_ids
    bits = answer.decisions.excluded[answer.row].tolist()
    return {product_id: _names(found) for product_id, found in zip(products, bits, strict=True) if found}


def _factors(answer: Answer) -> dict[str, Any]:
    """Of every product, in the order of the catalogue."""
    factors, row = answer.decisions.factors, answer.row
    return {
        "propensity": factors.propensities[row],
        "value": factors.values[row],
        "context": factors.contexts[row],
        "lever": factors.levers[row],
        "priority": factors.priorities[row],
    }


@lru_cache(maxsize=4096)
def _names(bits: int) -> tuple[str, ...]:
    return tuple(reason.name for reason in reasons_in(bits))
