import json
from io import StringIO

import pytest
from rich.console import Console

from features.errors import BadInput
from tests.training.evaluation.fixtures import constant, ranking, rows_of
from training.evaluation import DENOMINATORS, EvaluationReport, evaluate_scorers
from training.evaluation.report import BASELINE

PRODUCT_IDS = ("card", "fund", "loan")
ACQUIRED = [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]]


def report(selected="sharp", ks=(1, 3, 5, 7), acquired=ACQUIRED, protocol="periods"):
    evaluation = evaluate_scorers(
        [rows_of([[1, 1, 1]] * len(acquired), acquired)],
        {BASELINE: constant([0.2, 0.1, 0.3]), "sharp": ranking(1, 0, 2)},
        ks=ks,
        seed=1,
        resamples=50,
        probabilistic=frozenset([BASELINE]),
    )
    return EvaluationReport.of(evaluation, protocol=protocol, selected=selected, product_ids=PRODUCT_IDS)


def printed(made, width=100):
    console = Console(width=width, record=True, file=StringIO())
    console.print(made.render())
    return console.export_text()


def test_json_is_what_outside_checks_read():
    content = json.loads(report().to_json())
    assert content["protocol"] == "periods"
    assert content["selected"] == "sharp"
    assert content["models"].keys() == {BASELINE, "sharp"}
    for metrics in content["models"].values():
        for figures in metrics.values():
            assert figures.keys() == {"value", "low", "high"}
    assert content["models"]["sharp"]["map@7"]["value"] == pytest.approx(1 / 4 * (1 + 0 + 1 / 2 + 1))
    assert content["ceilings"]["map@7"] == pytest.approx(3 / 4)
    assert content["counts"]["acquirers"] == 3
    assert content["denominators"] == dict(DENOMINATORS)
    assert content["per_product"][BASELINE].keys() == set(PRODUCT_IDS)


def test_there_is_no_nan_in_json():
    # nobody acquires: shares of the ceiling and AUC are undefined
    text = report(acquired=[[0, 0, 0]] * 3).to_json()
    assert "NaN" not in text
    content = json.loads(text)
    assert "share_of_ceiling@7" not in content["models"]["sharp"]
    assert "auc" not in content["models"][BASELINE]
    assert content["per_product"][BASELINE]["loan"]["auc"] is None


@pytest.mark.parametrize("acquired", [ACQUIRED, [[0, 0, 0]] * 3, [[1, 0, 0]]])
def test_json_comes_back(acquired):
    made = report(acquired=acquired)
    assert EvaluationReport.from_json(made.to_json()).to_json() == made.to_json()


def test_selected_and_baseline_must_be_there():
    made = report()
    with pytest.raises(BadInput, match="blunt"):
        EvaluationReport(made.protocol, "blunt", made.models, made.ceilings, made.counts, made.per_product)
    with pytest.raises(BadInput, match=BASELINE):
        EvaluationReport(
            made.protocol, "sharp", {"sharp": made.models["sharp"]}, made.ceilings, made.counts, made.per_product
        )


def test_table_fits_100_columns_with_every_figure_whole():
    text = printed(report())
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    lines = text.splitlines()
    by_model = {line.split()[0]: line for line in lines if line.split()[:1] in (["sharp"], [BASELINE], ["perfect"])}
    assert by_model.keys() == {"sharp", BASELINE, "perfect"}
    assert lines[lines.index(by_model["sharp"]) + 1].split()[0] == "selected"
    for value in (1 / 4 * (1 + 0 + 1 / 2 + 1), (1 + 0 + 1 / 2 + 1) / 3):
        assert f"{value:.4f}" in by_model["sharp"]
    assert "4 times asked about 4 customers, of whom 3 acquired" in " ".join(text.split())


def test_denominators_are_under_the_table():
    text = " ".join(printed(report()).split())
    for name in ("map@7", "share_of_ceiling@7", "hit_rate@3", "auc"):
        assert f"{name}: {DENOMINATORS[name.partition('@')[0]]}" in text


def test_best_model_is_on_top():
    text = printed(report(selected=BASELINE))
    rows = [line.split()[0] for line in text.splitlines() if line.split()[:1] in (["sharp"], [BASELINE])]
    assert rows == ["sharp", BASELINE]


def test_other_lengths_of_list_are_shown_as_such():
    text = printed(report(ks=(2, 5)))
    assert "@2" in text
    assert "MAP" in text
    assert "map@5" in text
    assert "@7" not in text


def test_flat_metrics_are_finite_numbers():
    flat = report().flat_metrics()
    assert flat["sharp/map@7"] == pytest.approx(1 / 4 * (1 + 0 + 1 / 2 + 1))
    assert flat["sharp/map@7/low"] <= flat["sharp/map@7"] <= flat["sharp/map@7/high"]
    assert flat["ceiling/map@7"] == pytest.approx(3 / 4)
    assert all(isinstance(value, float) and value == value for value in flat.values())
