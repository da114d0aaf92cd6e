"""A new family of features is its file and a line in the list: all else follows from what it declares."""

import json
import re

import numpy as np
import pytest

from features import block_of, current_states, feature_set_of
from serving.decisions.layers.hidden_features import unseen
from tests.command import in_process
from tests.features.families import toy_family
from tests.serving.decisions.reasons.reasons_fixtures import (
    Desk,
    HandMade,
    check_chinese,
    check_wellformed,
    policy_with,
)  # fmt: skip
from training import CHAMPION, Bundle, Tracking
from training.evaluation import EvaluationBatch
from training.evaluation.importance import Level, permutation_importance
from training.evaluation.page_tables import importance_table
from training.examples import Batch


@pytest.fixture
def states(trained, monkeypatch):
    toy_family.register(monkeypatch)
    return current_states(trained)


@pytest.fixture
def column(states) -> int:
    return feature_set_of(states).names.index(toy_family.COLUMN)


@pytest.fixture(scope="module")
def bundle(trained):
    return Bundle.open(Tracking(trained).version(CHAMPION).folder)


def somebody(desk, column) -> int:
    """Who is offered three products, is to be personalised, and has the figure."""
    for position in range(desk.states.n_customers):
        block = desk.block(position)
        decisions = desk.decide(block)
        if decisions.personalised[0] and (decisions.products[0] >= 0).all() and block.features[0, column] > 1:
            return position
    raise AssertionError("nobody")


def test_is_explained(states, column, bundle):
    desk = Desk.of(bundle, states, policy_with())
    position = somebody(desk, column)
    value = float(desk.block(position).features[0, column])
    offers = desk.reasons(position, bundle=HandMade(states, {toy_family.COLUMN: 9.0}))
    assert offers
    for _, (first, *_) in offers:
        assert (first.kind, first.topic, first.strength) == ("model", toy_family.TOPIC, 9.0)
        figure = re.fullmatch(rf"{toy_family.TITLE.text}: ¥([\d,]+) in [A-Z][a-z]+ \d{{4}}", first.text)
        assert int(figure[1].replace(",", "")) == round(value)
        assert first.text_zh.startswith(f"{toy_family.TITLE.text_zh}：20")
        check_wellformed(first.text, first.text_zh)
        check_chinese(first.text_zh, set())


@pytest.mark.parametrize("silence", ["not_spoken", "not_used"])
def test_is_not_spoken_of_where_its_source_is_not(states, column, bundle, silence):
    desk = Desk.of(bundle, states, policy_with(**{silence: ["income"]}))
    offers = desk.reasons(somebody(desk, column), bundle=HandMade(states, {toy_family.COLUMN: 9.0}))
    assert toy_family.TOPIC not in {reason.topic for _, reasons in offers for reason in reasons}


def test_is_hidden_with_its_source(states, column):
    block = block_of(states, np.arange(50), states.as_of_period)
    hidden = unseen(block, feature_set_of(states).made_of(("income",)))
    assert np.isnan(hidden.features[:, column]).all()
    assert not np.isnan(block.features[:, column]).all()


def test_is_listed(trained, states):
    shown = in_process("features", "list", trained, "--json")
    (row,) = (row for row in json.loads(shown.stdout) if row["name"] == toy_family.COLUMN)
    assert row == {
        "name": toy_family.COLUMN, "family": "means", "dtype": "amount",
        "meaning": "income divided by products held and one", "topic": toy_family.TOPIC, "measure": "level",
        "window": "", "sources": "income",
    }  # fmt: skip
    assert toy_family.COLUMN in in_process("features", "list", trained).stdout


def test_is_exchanged_and_has_its_title_on_the_page(states, column):
    block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
    rich = block.features[:, column] > np.nanmedian(block.features[:, column])
    order = np.arange(block.n_products)

    def score(block):
        rich = block.features[:, column] > median
        return np.where(rich[:, None], order, -order).astype(np.float32)

    median = np.nanmedian(block.features[:, column])
    acquired = block.candidates & np.where(rich[:, None], order >= 12, order < 12)
    acquired &= (np.arange(block.n_customers) % 5 == 0)[:, None]
    found = permutation_importance(
        lambda: [EvaluationBatch(Batch(block, acquired), block.positions)], score, states,
        model="m", k=7, rows=200, repeats=2, seed=1, resamples=20,
    )  # fmt: skip
    assert {(unit.level, unit.name) for unit in found.units if unit.lost.value} == {
        (Level.FAMILY, "means"), (Level.GROUP, toy_family.COLUMN),
    }  # fmt: skip
    (_, _, rows), *_ = importance_table(found, Level.FAMILY).groups
    assert [(row.label, row.label_zh) for row in rows if row.key == "means"] == [toy_family.ToyFamily.title]
