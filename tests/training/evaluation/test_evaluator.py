import numpy as np
import pytest

from features.errors import BadInput, NotFound
from tests.oracles.ranking_metrics import ORACLES, auc
from tests.training.evaluation.fixtures import constant, ranking, rows_of
from training.evaluation import DENOMINATORS, evaluate_scorers
from training.ranking import top_k

N_PRODUCTS = 6


def random_rows(seed, n_batches=3, n_rows=400):
    """Customers met up to three times, of whom one in five acquires something, in tune with their own appeal."""
    rng = np.random.default_rng(seed)
    batches, truths = [], []
    for _ in range(n_batches):
        truth = rng.beta(0.4, 9, (n_rows, N_PRODUCTS)).astype(np.float32)
        candidates = rng.random(truth.shape) < 0.8
        batches.append(rows_of(candidates, candidates & (rng.random(truth.shape) < truth), range(n_rows)))
        truths.append(truth)
    return batches, truths


def in_turn(truths):
    """A model that knows the probabilities of each batch, asked in order."""
    remaining = iter(truths)
    return lambda block: next(remaining)


def judge(batches, scorers, probabilistic=(), ks=(1, 3), resamples=100, **options):
    return evaluate_scorers(
        batches, scorers, ks=ks, seed=1, resamples=resamples, probabilistic=frozenset(probabilistic), **options
    )


def test_by_hand():
    # customer 0 acquires the product ranked second, customer 1 nothing, customer 2 has no candidate
    batch = rows_of([[1, 1, 1], [1, 1, 1], [0, 0, 0]], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    found = judge([batch], {"a": ranking(0, 1, 2)}, ks=(1, 2))
    values = {name: interval.value for name, interval in found.metrics["a"].items()}
    assert values["hit_rate@1"] == 0
    assert values["hit_rate@2"] == 1 / 2
    assert values["precision@2"] == 1 / 2 * (1 / 2)
    assert values["map@2"] == 1 / 2 * (1 / 2)
    assert values["share_of_ceiling@2"] == 1 / 2
    assert values["coverage@2"] == pytest.approx(2 / 3)
    assert found.ceilings["hit_rate@2"] == 1 / 2
    assert found.ceilings["precision@2"] == 1 / 2 * (1 / 2)
    counts = found.counts
    assert (counts.rows, counts.customers, counts.acquirers, counts.acquisitions) == (2, 2, 1, 1)
    assert counts.rows_left_out == 1


def test_a_customer_met_twice_is_one_customer():
    batch = rows_of([[1, 1], [1, 1], [1, 1]], [[1, 0], [1, 0], [0, 0]], clusters=[7, 7, 8])
    counts = judge([batch], {"a": ranking(0)}).counts
    assert (counts.rows, counts.customers, counts.acquirers, counts.acquisitions) == (3, 2, 1, 2)


def test_equals_the_oracles_over_batches():
    batches, truths = random_rows(1)
    found = judge(batches, {"truth": in_turn(truths)}, ks=(1, 3, 5))
    rows = [
        (ranked.tolist(), set(np.flatnonzero(acquired)))
        for batch, truth in zip(batches, truths, strict=True)
        for ranked, acquired, candidates in zip(
            top_k(truth, batch.batch.block.candidates, 5),
            batch.batch.acquired,
            batch.batch.block.candidates,
            strict=True,
        )
        if candidates.any()
    ]
    for name, metric in ORACLES.items():
        for k in (1, 3, 5):
            expected = np.mean([metric(ranked, acquired, k) for ranked, acquired in rows])
            assert found.metrics["truth"][f"{name}@{k}"].value == pytest.approx(expected, rel=1e-6)


def test_a_perfect_model_reaches_the_ceiling():
    batches, _ = random_rows(2)
    found = judge(batches, {"seer": in_turn([batch.batch.acquired.astype(np.float32) for batch in batches])})
    for name, ceiling in found.ceilings.items():
        assert found.metrics["seer"][name].value == pytest.approx(ceiling)
    share = found.metrics["seer"]["share_of_ceiling@3"]
    assert (share.value, share.low, share.high) == pytest.approx((1, 1, 1))


def test_every_metric_has_a_denominator_and_an_interval():
    batches, truths = random_rows(3)
    found = judge(batches, {"truth": in_turn(truths)}, probabilistic=["truth"], truth=in_turn(truths))
    assert {name.partition("@")[0] for name in found.metrics["truth"]} == DENOMINATORS.keys()
    facts = ("coverage", "share_of_truth", "calibration_noise", "calibration_error_selected_truth")
    for name, interval in found.metrics["truth"].items():
        assert interval.low <= interval.value <= interval.high, name
        assert interval.low < interval.high or name.startswith(facts), name


def test_share_of_truth_is_the_ratio_to_ranking_by_the_true_probabilities():
    batches, truths = random_rows(9)
    blurred = [truth * np.random.default_rng(1).uniform(0.2, 1, truth.shape).astype(np.float32) for truth in truths]
    found = judge(batches, {"a": in_turn(blurred)}, truth=in_turn(truths))
    alone = judge(batches, {"truth": in_turn(truths)})
    for k in (1, 3):
        best = alone.metrics["truth"][f"map@{k}"].value
        assert found.truth[f"map@{k}"] == best
        share = found.metrics["a"][f"share_of_truth@{k}"]
        assert share.value == pytest.approx(found.metrics["a"][f"map@{k}"].value / best)
        assert share.low < share.value < share.high
    assert "share_of_truth@3" not in alone.metrics["truth"]


def test_ratio_is_paired():
    batches, truths = random_rows(10)
    found = judge(batches, {"a": in_turn(truths), "b": ranking(0, 1, 2)}, probabilistic=["a"])
    values = [found.metrics[model]["map@3"].value for model in ("a", "b")]
    ratio = found.ratio("a", "b", "map@3")
    assert ratio.value == pytest.approx(values[0] / values[1])
    assert 1 < ratio.low < ratio.value < ratio.high
    itself = found.ratio("a", "a", "map@3")
    assert (itself.value, itself.low, itself.high) == (1, 1, 1)
    with pytest.raises(NotFound, match="no ratios of auc"):
        found.ratio("a", "a", "auc")


def test_auc_is_over_candidates_of_all_batches():
    batches, truths = random_rows(4)
    found = judge(batches, {"truth": in_turn(truths)}, probabilistic=["truth"])
    candidates = np.vstack([batch.batch.block.candidates for batch in batches])
    acquired = np.vstack([batch.batch.acquired for batch in batches])
    scores = np.vstack(truths)
    for product, figures in enumerate(found.per_product["truth"]):
        own = candidates[:, product]
        exact = auc(scores[own, product], acquired[own, product])
        assert figures.auc == pytest.approx(exact, abs=figures.auc_error + 1e-9)
        assert (figures.candidates, figures.acquired) == (own.sum(), acquired[own, product].sum())
        assert figures.expected == pytest.approx(scores[own, product].sum(dtype=float))
    mean = np.mean([figures.auc for figures in found.per_product["truth"]])
    assert found.metrics["truth"]["auc"].value == pytest.approx(mean)


def test_a_product_nobody_acquires_has_no_auc_but_does_no_harm():
    batch = rows_of([[1, 1]] * 4, [[1, 0], [0, 0], [1, 0], [0, 0]])
    found = judge([batch], {"a": constant([0.5, 0.1])}, probabilistic=["a"])
    assert np.isnan(found.per_product["a"][1].auc)
    assert found.metrics["a"]["auc"].value == 1 / 2


def test_nobody_acquires_anything():
    found = judge([rows_of([[1, 1]] * 4, [[0, 0]] * 4)], {"a": constant([0.5, 0.1])}, probabilistic=["a"])
    assert found.metrics["a"]["map@3"].value == 0
    for undefined in ("share_of_ceiling@3", "auc", "calibration_error"):
        assert np.isnan(found.metrics["a"][undefined].value)


def test_true_probabilities_are_calibrated_and_beat_chance():
    batches, truths = random_rows(5, n_batches=6)
    rng = np.random.default_rng(0)
    noise = [rng.random(truth.shape).astype(np.float32) for truth in truths]
    found = judge(batches, {"truth": in_turn(truths), "noise": in_turn(noise)}, probabilistic=["truth", "noise"])
    assert found.metrics["noise"]["auc"].low < 1 / 2 < found.metrics["noise"]["auc"].high
    assert found.metrics["truth"]["calibration_error"].high < found.metrics["noise"]["calibration_error"].low
    for metric in ("map@3", "share_of_ceiling@3", "auc"):
        difference = found.paired_difference("truth", "noise", metric)
        values = [found.metrics[model][metric].value for model in ("truth", "noise")]
        assert difference.value == pytest.approx(values[0] - values[1])
        assert 0 < difference.low < difference.value < difference.high


def test_a_model_does_not_differ_from_itself():
    batches, _ = random_rows(6)
    found = judge(batches, {"a": ranking(0, 1, 2), "b": ranking(0, 1, 2)}, probabilistic=["a", "b"])
    for metric in found.metrics["a"]:
        difference = found.paired_difference("a", "b", metric)
        assert (difference.value, difference.low, difference.high) == (0, 0, 0), metric


def test_batches_do_not_matter():
    batches, _ = random_rows(7)
    whole = rows_of(
        np.vstack([batch.batch.block.candidates for batch in batches]),
        np.vstack([batch.batch.acquired for batch in batches]),
        np.concatenate([batch.clusters for batch in batches]),
    )
    scorers = {"a": ranking(3, 1, 2)}
    parts, together = judge(batches, scorers, ["a"]), judge([whole], scorers, ["a"])
    for name, interval in together.metrics["a"].items():
        found = parts.metrics["a"][name]
        assert (found.value, found.low, found.high) == pytest.approx((interval.value, interval.low, interval.high))


def test_features_are_computed_once_a_block():
    seen = []
    batches, _ = random_rows(8)

    def scorer(block):
        seen.append(id(block))
        return ranking(0)(block)

    judge(batches, {"a": scorer, "b": scorer})
    assert seen == [id(batch.batch.block) for batch in batches for _ in range(2)]


def test_unknown_metric_or_model_is_not_found():
    found = judge([rows_of([[1, 1]], [[1, 0]])], {"a": ranking(0)})
    with pytest.raises(NotFound, match=r"map@9.*map@3"):
        found.paired_difference("a", "a", "map@9")
    with pytest.raises(NotFound, match="'b'"):
        found.paired_difference("a", "b", "map@3")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.nan, "a: .* NaN"),
        (1.5, "a: .* not within 0 to 1"),
    ],
)
def test_scores_that_cannot_be_used_are_refused_by_model(scores, message):
    with pytest.raises(BadInput, match=message):
        judge([rows_of([[1, 1]], [[1, 0]])], {"a": constant([scores, 0.5])}, probabilistic=["a"])


def test_scores_of_another_shape_are_refused():
    with pytest.raises(BadInput, match="a: scores"):
        judge([rows_of([[1, 1]], [[1, 0]])], {"a": lambda block: np.zeros((1, 3), np.float32)})


def test_an_acquisition_that_was_no_candidate_is_refused():
    with pytest.raises(BadInput, match="1 acquisitions are not among the candidates"):
        judge([rows_of([[1, 0]], [[0, 1]])], {"a": ranking(0)})


def test_nothing_to_evaluate_on_is_refused():
    with pytest.raises(BadInput, match="nothing to evaluate on"):
        judge([rows_of([[0, 0]], [[0, 0]])], {"a": ranking(0)})


def test_a_probabilistic_model_must_be_there():
    with pytest.raises(BadInput, match="probabilities from"):
        judge([rows_of([[1, 1]], [[1, 0]])], {"a": ranking(0)}, probabilistic=["b"])
