import numpy as np
import pytest

from features.errors import BadInput
from tests.training.evaluation.fixtures import ranking
from tests.training.evaluation.test_evaluator import in_turn, judge, random_rows
from training.evaluation import BASELINE, BootstrapInterval
from training.evaluation.backtest import Origin, pooled
from training.evaluation.outcomes import Outcomes

NOWHERE = BootstrapInterval(0.0, 0.0, 0.0)


def judged_apart_and_together():
    """Two origins with a model each time fitted anew, and what one pass over all their rows would find."""
    batches, truths = random_rows(16, n_batches=4)
    scorers = [{"a": in_turn(truths[n : n + 2]), BASELINE: ranking(0, 1, 2)} for n in (0, 2)]
    apart = [judge(batches[n : n + 2], scorers[n // 2]) for n in (0, 2)]
    return apart, judge(batches, {"a": in_turn(truths), BASELINE: ranking(0, 1, 2)})


def test_joined_is_as_if_judged_at_once():
    apart, whole = judged_apart_and_together()
    joined = Outcomes.joined([part.outcomes for part in apart])
    for model, estimates in joined.estimates(seed=1, resamples=100).items():
        for name, estimate in estimates.items():
            expected = whole.outcomes.estimates(seed=1, resamples=100)[model][name]
            assert estimate.value == expected.value
            np.testing.assert_array_equal(estimate.replicates, expected.replicates)


def test_others_are_not_joined():
    apart, _ = judged_apart_and_together()
    batches, _ = random_rows(16)
    other = judge(batches, {"b": ranking(0)})
    with pytest.raises(BadInput, match="cannot be put together"):
        Outcomes.joined([apart[0].outcomes, other.outcomes])


def test_comes_back_from_its_file(tmp_path):
    (first, _), _ = judged_apart_and_together()
    first.outcomes.save(tmp_path / "rows.npz")
    loaded = Outcomes.load(tmp_path / "rows.npz")
    assert loaded.metrics == first.outcomes.metrics
    assert loaded.values.keys() == first.outcomes.values.keys()
    for name, values in first.outcomes.values.items():
        np.testing.assert_array_equal(loaded.values[name], values, strict=True)
    np.testing.assert_array_equal(loaded.clusters, first.outcomes.clusters)


def test_origins_are_pooled_by_rows_and_paired_by_customer():
    apart, whole = judged_apart_and_together()
    origins = [
        (Origin(f"2024-0{n}-01", selected, 0, 0, 0, 0, part.metrics, NOWHERE), part.outcomes)
        for n, (part, selected) in enumerate(zip(apart, ("a", BASELINE), strict=True))
    ]
    found = pooled("build", "map@3", origins, seed=1, resamples=100)
    for model in ("a", BASELINE):
        assert found.pooled[model] == whole.metrics[model]["map@3"]
        share, expected = found.share_of_ceiling[model], whole.metrics[model]["share_of_ceiling@3"]
        assert (share.value, share.low, share.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert found.differences == {"a": whole.paired_difference("a", BASELINE, "map@3")}
    # the model served at the first origin, the baseline at the second
    rows = [part.counts.rows for part in apart]
    served = [apart[0].metrics["a"]["map@3"].value, apart[1].metrics[BASELINE]["map@3"].value]
    assert found.as_selected.value == pytest.approx(np.average(served, weights=rows))
    assert found.as_selected_difference.value == pytest.approx(
        (served[0] - apart[0].metrics[BASELINE]["map@3"].value) * rows[0] / sum(rows)
    )
    assert 0 < found.as_selected_difference.low < found.as_selected_difference.high
