import json

import numpy as np
import pytest

from features import block_of
from features.build import build_states
from features.sources.synthetic import SyntheticBank, Truth, generate
from training.evaluation.truth import TrueProbabilities


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    generate(SyntheticBank(retail=60, corporate=25, periods=5, truth_periods=3), folder / "bank")
    return folder, build_states(folder / "bank" / "tables", folder / "workspace").states


def test_each_customer_and_product_gets_its_own(bank):
    folder, states = bank
    published = Truth.open(folder / "bank" / "truth")
    scores = TrueProbabilities.beside(states)
    period = states.as_of_period - 1
    positions = np.random.default_rng(0).permutation(states.known_at(period))
    found = scores(block_of(states, positions, period))
    expected = published.probability(period)
    for row, position in enumerate(positions):
        their = published.customer_ids.tolist().index(states.customer_id(position))
        for column, product in enumerate(states.catalogue.product_ids):
            assert found[row, column] == expected[their, published.product_ids.index(product)]
    assert found.max() > 0


def test_only_published_dates_are_covered(bank):
    _, states = bank
    scores = TrueProbabilities.beside(states)
    newest = states.as_of_period
    assert scores.covers(range(newest - 2, newest))
    assert not scores.covers(range(newest - 3, newest))
    assert not scores.covers(range(newest, newest))


def test_there_is_none_of_a_real_bank_or_of_another(bank, hand_states, tmp_path):
    folder, states = bank
    assert TrueProbabilities.beside(hand_states) is None
    generate(SyntheticBank(retail=20, corporate=0, periods=5), tmp_path / "other")
    manifest = folder / "workspace" / "states" / states.manifest.build_id / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(content | {"tables": str(tmp_path / "other" / "tables")}), encoding="utf-8")
    assert TrueProbabilities.beside(type(states).open(manifest.parent)) is None
    manifest.write_text(json.dumps(content), encoding="utf-8")
