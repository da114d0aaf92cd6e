"""What every model must do, whatever it learns: subclass `ModelConformance` and say which model in `model_type`."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from features.errors import BadInput, NotReady
from training.models import Model

from .fixtures import InMemoryExamples, StubStates, block_of, random_bank


@cache
def bank() -> InMemoryExamples:
    return random_bank()


@cache
def fitted(model_type: type[Model]) -> Model:
    return model_type().fit(bank())


def latest_block():
    return bank().kept[-1].block


def assert_same_bits(left: np.ndarray, right: np.ndarray) -> None:
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    assert left.tobytes() == right.tobytes()


def assert_sound(scores: np.ndarray, n_customers: int) -> None:
    assert scores.dtype == np.float32
    assert scores.shape == (n_customers, bank().n_products)
    assert np.isfinite(scores).all()


class ModelConformance:
    """The suite; a subclass provides the fixture `model_type`, without which no test of it can run."""

    def test_scores_are_finite_float32_one_row_a_customer(self, model_type):
        for batch in bank().batches():
            assert_sound(fitted(model_type).score(batch.block), batch.block.n_customers)

    def test_scores_tell_products_apart(self, model_type):
        scores = fitted(model_type).score(latest_block())
        assert (scores.max(axis=1) > scores.min(axis=1)).all()

    def test_two_fits_agree_bit_for_bit(self, model_type):
        again = model_type().fit(bank())
        assert_same_bits(again.score(latest_block()), fitted(model_type).score(latest_block()))

    def test_scoring_changes_nothing(self, model_type):
        first = fitted(model_type).score(latest_block())
        assert_same_bits(fitted(model_type).score(latest_block()), first)

    def test_fit_returns_the_model(self, model_type):
        model = model_type()
        assert model.fit(bank()) is model

    def test_a_loaded_model_scores_as_the_saved_one_bit_for_bit(self, model_type, tmp_path):
        model = fitted(model_type)
        model.save(tmp_path)
        loaded = model_type.load(tmp_path)
        assert loaded.config == model.config
        assert_same_bits(loaded.score(latest_block()), model.score(latest_block()))

    def test_the_saved_folder_holds_no_pickle(self, model_type, tmp_path: Path):
        fitted(model_type).save(tmp_path)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert path.suffix in {".json", ".npy", ".npz", ".txt"}
            if path.suffix in {".npy", ".npz"}:
                np.load(path, allow_pickle=False)
            else:
                path.read_text(encoding="utf-8")

    def test_a_customer_alone_scores_as_in_a_block_bit_for_bit(self, model_type):
        block = latest_block()
        scores = fitted(model_type).score(block)
        for row in range(block.n_customers):
            assert_same_bits(fitted(model_type).score(block.take(np.array([row]))), scores[[row]])

    def test_the_size_of_a_block_changes_no_bit(self, model_type):
        block = latest_block()
        scores = fitted(model_type).score(block)
        for size in (2, 7, 63, 64, 65):
            rows = np.arange(size) % block.n_customers
            assert_same_bits(fitted(model_type).score(block.take(rows)), scores[rows])

    def test_permuting_customers_permutes_scores(self, model_type):
        block = latest_block()
        order = np.random.default_rng(1).permutation(block.n_customers)
        scores = fitted(model_type).score(block.take(order))
        assert_same_bits(scores, fitted(model_type).score(block)[order])

    def test_an_empty_portfolio_is_scored(self, model_type):
        nobody = block_of(np.zeros((1, bank().n_products)))
        assert_sound(fitted(model_type).score(nobody), 1)

    def test_a_full_portfolio_is_scored(self, model_type):
        everything = block_of(np.ones((1, bank().n_products)))
        assert_sound(fitted(model_type).score(everything), 1)

    def test_a_product_never_acquired_is_scored(self, model_type):
        assert not any(batch.acquired[:, -1].any() for batch in bank().batches())
        assert np.isfinite(fitted(model_type).score(latest_block())[:, -1]).all()

    def test_a_segment_of_one_is_scored(self, model_type):
        block = latest_block()
        alone = np.flatnonzero(block.segments == 2)
        assert alone.size == 1
        assert_sound(fitted(model_type).score(block.take(alone)), 1)

    def test_scoring_before_fitting_is_refused(self, model_type):
        with pytest.raises(NotReady, match=model_type.name):
            model_type().score(latest_block())

    def test_another_number_of_products_is_refused(self, model_type):
        with pytest.raises(BadInput, match="train again"):
            fitted(model_type).score(block_of(np.zeros((2, bank().n_products + 1))))

    def test_an_empty_catalogue_is_refused(self, model_type):
        empty = InMemoryExamples((), n_products=0, n_segments=1, states=StubStates(0, 0, 1))
        with pytest.raises(BadInput, match="no products"):
            model_type().fit(empty)

    def test_an_unknown_setting_is_refused(self, model_type):
        with pytest.raises(ValidationError, match="colour"):
            model_type.Config.model_validate({"colour": "red"})
