import numpy as np
import pytest

from features import block_of
from tests.training.evaluation.fixtures import ranking, rows_of
from tests.training.evaluation.test_evaluator import in_turn, judge, random_rows
from training.evaluation import BASELINE
from training.evaluation.facets import CustomerFacets
from training.evaluation.slices import FEW_ACQUIRERS, Facet


class ByPosition:
    """Slices by the rest of the customer's number; and a facet in which all are alike."""

    def __init__(self, n):
        self.n = n
        self.facets = (Facet("rest", tuple(str(rest) for rest in range(n))), Facet("same", ("all",)))

    def codes(self, block):
        return np.stack([block.positions % self.n, np.zeros(block.n_customers)], axis=1).astype(np.int16)


def test_by_hand():
    # even customers acquire what is ranked first, odd ones what is ranked second or nothing
    batch = rows_of([[1, 1]] * 4, [[1, 0], [0, 1], [1, 0], [0, 0]])
    found = judge([batch], {"a": ranking(0, 1), BASELINE: ranking(1, 0)}, facets=ByPosition(2), ks=(1, 2))
    assert found.slices.keys() == {"rest"}  # there is nothing to tell apart by the other
    even, odd = found.slices["rest"]["0"], found.slices["rest"]["1"]
    assert even.models["a"].value == 1
    assert even.models[BASELINE].value == 1 / 2
    assert even.above_baseline["a"].value == 1 - 1 / 2
    assert odd.models["a"].value == 1 / 2 * (1 / 2 + 0)
    assert odd.above_baseline["a"].value == 1 / 2 * (1 / 2 - 1)
    assert (even.rows, even.customers, even.acquirers, even.ceiling) == (2, 2, 2, 1)
    assert (odd.rows, odd.customers, odd.acquirers, odd.ceiling) == (2, 2, 1, 1 / 2)
    assert even.is_small
    assert odd.is_small


@pytest.mark.parametrize("n", [2, 5])
def test_slices_partition_the_rows_and_their_mean_is_the_whole(n):
    batches, truths = random_rows(13)
    found = judge(batches, {"a": in_turn(truths), BASELINE: ranking(0, 1, 2)}, facets=ByPosition(n))
    parts = found.slices["rest"].values()
    counts = found.counts
    assert sum(part.rows for part in parts) == counts.rows
    assert sum(part.customers for part in parts) == counts.customers
    assert sum(part.acquirers for part in parts) == counts.acquirers
    for model in ("a", BASELINE):
        mean = sum(part.rows * part.models[model].value for part in parts) / counts.rows
        assert mean == pytest.approx(found.metrics[model]["map@3"].value)
    assert all(part.is_small == (part.acquirers < FEW_ACQUIRERS) for part in parts)


def test_a_slice_is_what_its_rows_alone_would_give():
    batches, truths = random_rows(14)
    found = judge(batches, {"a": in_turn(truths)}, facets=ByPosition(3))
    rows = [np.flatnonzero(batch.clusters % 3 == 1) for batch in batches]
    alone = judge(
        [
            rows_of(batch.batch.block.candidates[mine], batch.batch.acquired[mine], batch.clusters[mine])
            for batch, mine in zip(batches, rows, strict=True)
        ],
        {"a": in_turn([truth[mine] for truth, mine in zip(truths, rows, strict=True)])},
    )
    one, other = found.slices["rest"]["1"].models["a"], alone.metrics["a"]["map@3"]
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert found.slices["rest"]["1"].above_baseline == {}  # no baseline was judged


def test_products_partition_the_acquisitions():
    batches, truths = random_rows(15)
    found = judge(batches, {"a": in_turn(truths)}, ks=(1, 2))
    acquired = np.vstack([batch.batch.acquired for batch in batches])
    assert [part.acquisitions for part in found.product_slices] == acquired.sum(axis=0).tolist()
    hits = sum(part.acquisitions * part.models["a"].value for part in found.product_slices)
    scores, candidates = np.vstack(truths), np.vstack([batch.batch.block.candidates for batch in batches])
    first = np.argsort(-np.where(candidates, scores, -1), axis=1, kind="stable")[:, :2]
    assert hits == pytest.approx(np.take_along_axis(acquired, first, axis=1).sum())


def test_a_product_nobody_acquired_has_no_figures():
    found = judge([rows_of([[1, 1]] * 3, [[1, 0]] * 3)], {"a": ranking(0, 1)})
    bought, other = found.product_slices
    assert (bought.models["a"].value, bought.acquirers) == (1, 3)
    assert (other.acquisitions, other.models, other.is_small) == (0, {}, True)


class TestCustomerFacets:
    """The hand bank at the end of April 2024: ann, bob, cat since December 2023, the firm since February 2024."""

    @pytest.fixture(scope="class")
    @classmethod
    def labels(cls, hand_states):
        facets = CustomerFacets(hand_states)
        april = hand_states.as_of_period - 2
        block = block_of(hand_states, hand_states.known_at(april), april)
        codes = facets.codes(block)
        return {
            hand_states.customer_id(position): {
                facet.name: facet.labels[code] for facet, code in zip(facets.facets, row, strict=True)
            }
            for position, row in zip(block.positions, codes, strict=True)
        }

    def test_kind(self, labels):
        assert {name: row["kind"] for name, row in labels.items()} == {
            "ann": "retail", "bob": "retail", "cat": "retail", "firm": "corporate"
        }  # fmt: skip

    def test_holdings_are_those_known_then(self, labels):
        assert labels["ann"]["holdings"] == "holds 1 or 2"
        # the firm's first account opened in May; cat's loan was recorded in June
        assert labels["firm"]["holdings"] == "never held anything"
        assert labels["cat"]["holdings"] == "holds 1 or 2"

    def test_new_or_known(self, labels):
        assert {name for name, row in labels.items() if row["acquaintance"].startswith("first seen")} == {"firm"}

    def test_tenure_and_what_is_unknown(self, labels):
        assert all(row["tenure"] == "less than 1 year" for row in labels.values())
        assert all(row["tier"] == row["age"] == "unknown" for row in labels.values())

    def test_every_customer_of_a_bank_has_a_label_of_each(self, states):
        facets = CustomerFacets(states)
        block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
        codes = facets.codes(block)
        assert (codes >= 0).all()
        assert (codes < [len(facet.labels) for facet in facets.facets]).all()
        assert all(len(np.unique(column)) > 1 for column in codes.T)
        ages = codes[:, -1]
        is_company = np.char.startswith(np.array(facets.facets[-1].labels)[ages], "company")
        known = ages < len(facets.facets[-1].labels) - 1
        np.testing.assert_array_equal(is_company[known], block.kinds[known] == 1)
