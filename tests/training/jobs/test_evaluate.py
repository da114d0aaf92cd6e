"""Evaluate, compare and backtest, as they are run."""

import fcntl
import json
import shutil
from datetime import date

import pytest

import training.jobs.backtest
from features import current_states
from features.build import build_states
from features.errors import BadInput, NotFound, NotReady
from features.sources.synthetic import SyntheticBank, generate
from tests.command import in_process
from tests.training import banks
from tests.training.banks import light, rewrite
from tests.training.hand_bank import build_undated_bank
from training import (
    CHAMPION,
    Bundle,
    EvaluationConfig,
    Tracking,
    backtest,
    compare_models,
    evaluate,
    train,
)
from training.evaluation import BootstrapInterval, evaluate_scorers
from training.evaluation.serial import to_json
from training.jobs.evaluate import ModelComparison
from training.jobs.reports import BACKTEST, EVALUATION, IMPORTANCE, LEARNING_CURVE, PAGE
from training.tracking import CHALLENGER
from training.unseen import unseen_batches

TRAINING = light(models=("popularity", "ease"), train_periods=3)
CONFIG = EvaluationConfig(
    resamples=40, backtest_origins=2, backtest_step=1, learning_curve=(0.3,), importance_rows=150, importance_repeats=1
)
TOML = """\
[training]
models = ["popularity", "ease"]
train_periods = 3

[evaluation]
resamples = 40
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """The tables of a synthetic bank with its truth, and a workspace with a champion; read only."""
    folder = tmp_path_factory.mktemp("judged")
    generate(SyntheticBank(retail=120, corporate=30, periods=7), folder / "bank")
    workspace = folder / "workspace"
    build_states(folder / "bank" / "tables", workspace)
    (workspace / "nextproduct.toml").write_text(TOML, encoding="utf-8")
    train(workspace, TRAINING)
    return folder


@pytest.fixture
def workspace(bank, tmp_path):
    """A copy of the workspace; its tables and truth are shared."""
    return shutil.copytree(bank / "workspace", tmp_path / "workspace")


@pytest.fixture
def own_tables(bank, tmp_path):
    """A copy of the tables, to be changed."""
    return shutil.copytree(bank / "bank" / "tables", tmp_path / "tables")


class TestEvaluate:
    def test_the_truth_beside_the_tables_is_used(self, workspace):
        report = evaluate(workspace, CONFIG)
        for metrics in report.models.values():
            share = metrics["share_of_truth@7"]
            assert share.value == pytest.approx(metrics["map@7"].value / report.truth["map@7"])
            assert 0 < share.low < share.value < share.high
            assert metrics["calibration_error_selected_truth"].value > 0
            assert metrics["calibration_error_selected"].low <= metrics["calibration_error_selected"].value
        stored = json.loads((workspace / EVALUATION).read_text(encoding="utf-8"))
        assert stored["models"][report.selected]["share_of_truth@7"].keys() == {"value", "low", "high"}
        assert stored["models"][report.selected]["calibration_error_selected"].keys() == {"value", "low", "high"}
        assert stored["slices"].keys() == {"kind", "tier", "tenure", "holdings", "acquaintance", "age"}
        assert list(stored["expected_and_realised"][report.selected]) == ["2026-04-30", "2026-05-31"]

    def test_without_a_truth_there_is_no_share_of_it(self, workspace):
        (manifest,) = workspace.glob("states/*/manifest.json")
        content = json.loads(manifest.read_text(encoding="utf-8"))
        manifest.write_text(json.dumps(content | {"tables": str(workspace / "tables")}), encoding="utf-8")
        report = evaluate(workspace, CONFIG)
        assert report.truth == {}
        assert not any("truth" in name for metrics in report.models.values() for name in metrics)

    def test_the_page_is_kept_in_the_workspace_and_with_the_run(self, workspace):
        report = evaluate(workspace, CONFIG)
        page = (workspace / PAGE).read_text(encoding="utf-8")
        artefacts = Tracking(workspace).version(CHAMPION).folder.parent
        assert (artefacts / PAGE.name).read_text(encoding="utf-8") == page
        assert "evaluate WORKSPACE --full" in page
        for metrics in report.models.values():
            assert f"{metrics['map@7'].value:.4f} [{metrics['map@7'].low:.4f}" in page

    def test_full_adds_importance_and_learning_curve_until_another_champion_comes(self, workspace):
        report = evaluate(workspace, CONFIG, training=TRAINING, full=True)
        page = (workspace / PAGE).read_text(encoding="utf-8")
        assert 'id="importance-1"' in page
        assert 'id="curve"' in page
        importance, curve = (
            json.loads((workspace / path).read_text(encoding="utf-8")) for path in (IMPORTANCE, LEARNING_CURVE)
        )
        assert importance["subject"] == curve["subject"] == json.loads(report.to_json())["subject"]
        points = curve["result"]["points"]
        assert [point["share"] for point in points] == [0.3, 1.0]
        whole = points[-1]["values"][report.selected]
        assert whole["value"] == report.models[report.selected]["map@7"].value
        assert points[-1]["below_whole"][report.selected] == {"value": 0, "low": 0, "high": 0}
        # plain evaluation keeps showing them
        evaluate(workspace, CONFIG)
        assert 'id="curve"' in (workspace / PAGE).read_text(encoding="utf-8")
        train(workspace, TRAINING)
        evaluate(workspace, CONFIG)
        assert 'id="curve"' not in (workspace / PAGE).read_text(encoding="utf-8")


class TestCompare:
    def test_is_the_paired_difference_of_the_evaluation(self, workspace):
        names = Bundle.open(Tracking(workspace).version(CHAMPION).folder).names
        report = evaluate(workspace, CONFIG)
        other = next(name for name in names if name != report.selected)
        found = compare_models(workspace, report.selected, other, "map@7", CONFIG)
        assert found.difference == report.comparison.differences[other]
        assert found.value_a == report.models[report.selected]["map@7"].value
        back = compare_models(workspace, other, report.selected, "map@7", CONFIG).difference
        assert (back.value, back.low, back.high) == pytest.approx(
            (-found.difference.value, -found.difference.high, -found.difference.low)
        )

    def test_champion_and_challenger_are_compared_on_what_neither_has_seen(self, workspace):
        train(workspace, TRAINING.model_copy(update={"models": ("popularity",), "test_periods": 1}), alias=CHALLENGER)
        found = compare_models(workspace, "champion", "challenger", "map@3", CONFIG)
        states = current_states(workspace)
        bundles = [Bundle.open(Tracking(workspace).version(alias).folder) for alias in (CHAMPION, CHALLENGER)]
        # the challenger has seen all but the last date
        (batch,) = unseen_batches(states, bundles[1].manifest)
        expected = [
            evaluate_scorers(
                [batch], {"m": bundle.propensities}, ks=(3,), seed=1, resamples=20, probabilistic=frozenset()
            )
            for bundle in bundles
        ]
        values = [each.metrics["m"]["map@3"].value for each in expected]
        assert [found.value_a, found.value_b] == values
        assert found.customers == expected[0].counts.customers
        assert found.difference.value == pytest.approx(values[0] - values[1])

    @pytest.mark.parametrize(
        ("low", "high", "finding"),
        [
            (0.001, 0.003, "a is better than b"),
            (-0.003, -0.001, "a is worse than b"),
            (-0.001, 0.003, "a and b cannot be told apart"),
            (0.0, 0.0, "a and b are alike"),
        ],
    )
    def test_says_what_was_found(self, low, high, finding):
        value = (low + high) / 2
        found = ModelComparison("a", "b", "map@7", 0.02 + value, 0.02, BootstrapInterval(value, low, high), 1234)
        assert found.sentence().startswith(f"By map@7 {finding}: {0.02 + value:.4f} against 0.0200")
        assert "the same 1,234 customers" in found.sentence()

    def test_command_writes_what_checks_from_outside_read(self, workspace, tmp_path):
        file = tmp_path / "compared.json"
        done = in_process("evaluate", workspace, "--compare", "ease", "popularity", "--json", file)
        assert done.returncode == 0, done.stderr
        written = json.loads(file.read_text(encoding="utf-8"))
        assert written["metric"] == "map@7"  # what training selects by
        assert written["low"] <= written["difference"] <= written["high"]
        (sentence,) = done.stdout.strip().splitlines()
        assert f"{written['difference']:+.4f} [{written['low']:+.4f}, {written['high']:+.4f}]" in sentence
        done = in_process("evaluate", workspace, "--compare", "ease", "ease", "--metric", "mrr@5", "--json", file)
        assert json.loads(file.read_text(encoding="utf-8")) | {
            "metric": "mrr@5",
            "difference": 0,
            "low": 0,
            "high": 0,
        } == (json.loads(file.read_text(encoding="utf-8")))
        assert "are alike" in done.stdout

    @pytest.mark.parametrize(
        ("models", "metric", "error", "message"),
        [
            (("ease", "oracle"), "map@7", NotFound, r"no model 'oracle'.*has: .*ease.*popularity"),
            (("ease", "challenger"), "map@7", NotReady, "no challenger"),
            (("ease", "popularity"), "profit@7", BadInput, "no metric 'profit@7'; give one of hit_rate"),
            (("ease", "popularity"), "map", BadInput, "no metric 'map'"),
        ],
    )
    def test_what_is_not_there_is_said(self, workspace, models, metric, error, message):
        with pytest.raises(error, match=message):
            compare_models(workspace, *models, metric, CONFIG)


class TestBacktest:
    @pytest.fixture(scope="class")
    @classmethod
    def gone_back(cls, bank, tmp_path_factory):
        """A workspace whose backtest died at its second day and was started again; the days on which it trained."""
        workspace = shutil.copytree(bank / "workspace", tmp_path_factory.mktemp("backtest") / "workspace")
        fit, days = training.jobs.backtest.fit_bundle, []

        def dying(states, *arguments, **options):
            days.append(states.manifest.as_of)
            if len(days) == 2:
                raise KeyboardInterrupt
            return fit(states, *arguments, **options)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(training.jobs.backtest, "fit_bundle", dying)
            with pytest.raises(KeyboardInterrupt):
                backtest(workspace, training=TRAINING, config=CONFIG)
            assert not (workspace / BACKTEST).exists()
            found = backtest(workspace, training=TRAINING, config=CONFIG)
            # and once finished nothing is fitted again
            assert backtest(workspace, training=TRAINING, config=CONFIG) == found
        return workspace, found, days

    def test_a_run_that_died_goes_on_where_it_was(self, gone_back):
        workspace, found, days = gone_back
        assert days == ["2026-05-31", "2026-06-30", "2026-06-30"]
        assert (workspace / BACKTEST).read_text(encoding="utf-8") == to_json(found)
        kept = list((workspace / BACKTEST.parent / "backtest").glob("*/*"))
        assert sorted(path.name for path in kept) == ["2026-05-31", "2026-06-30", "lock"]

    def test_the_newest_origin_is_today_s_evaluation(self, gone_back):
        workspace, found, _ = gone_back
        report = evaluate(workspace, CONFIG)
        newest = found.origins[-1]
        assert newest.as_of == "2026-06-30"
        assert newest.selected == report.selected
        assert newest.models == report.models
        assert (newest.rows, newest.acquisitions) == (report.counts.rows, report.counts.acquisitions)

    def test_an_earlier_origin_is_what_build_train_and_evaluate_say_of_that_day(self, bank, gone_back, tmp_path):
        _, found, _ = gone_back
        earlier = found.origins[0]
        assert earlier.as_of == "2026-05-31"
        shutil.copy(bank / "workspace" / "mlflow.db", tmp_path)  # MLflow takes seconds to make it
        build_states(bank / "bank" / "tables", tmp_path, as_of=date(2026, 5, 31))
        train(tmp_path, TRAINING)
        report = evaluate(tmp_path, CONFIG)
        assert (earlier.selected, earlier.rows) == (report.selected, report.counts.rows)
        for model, metrics in report.models.items():
            for name, expected in metrics.items():
                # customers are numbered otherwise there, and so drawn otherwise
                assert earlier.models[model][name].value == pytest.approx(expected.value)

    def test_rewriting_the_future_changes_no_earlier_origin(self, gone_back, own_tables, tmp_path):
        finished, before, _ = gone_back
        later = "> DATE '2026-05-31'"
        rewrite(
            own_tables,
            "accounts",
            f"SELECT * REPLACE (CASE WHEN opened_on {later} THEN 'payroll' ELSE product_id END AS product_id, "
            f"CASE WHEN closed_on {later} THEN NULL ELSE closed_on END AS closed_on) "
            f"FROM t WHERE NOT (opened_on {later} AND hash(account_id) % 2 = 0)",
        )
        rewrite(own_tables, "customers", f"SELECT * FROM t WHERE onboarded_on IS NULL OR NOT onboarded_on {later}")
        known = "customer_id IN (SELECT customer_id FROM read_parquet('" + str(own_tables / "customers.parquet") + "'))"
        for name in ("accounts", "balances", "activity", "contacts", "consents", "complaints"):
            rewrite(own_tables, name, f"SELECT * FROM t WHERE {known}")
        known_both = " AND ".join(known.replace("customer_id IN", f"{side} IN") for side in ("payer_id", "payee_id"))
        rewrite(own_tables, "payments", f"SELECT * FROM t WHERE {known_both}")
        rewrite(own_tables, "balances", f"SELECT * FROM t WHERE NOT (period {later} AND hash(customer_id) % 2 = 0)")
        workspace = tmp_path / "rewritten"
        build_states(own_tables, workspace)
        shutil.copy(finished / "mlflow.db", workspace)  # MLflow takes seconds to make it
        after = backtest(workspace, training=TRAINING, config=CONFIG)
        earlier, expected = after.origins[0], before.origins[0]
        for model, metrics in expected.models.items():
            for name, found in metrics.items():
                assert "truth" in name or earlier.models[model][name].value == pytest.approx(found.value)
        assert after.origins[1].models != before.origins[1].models

    def test_evaluate_shows_it_while_the_states_are_the_same(self, gone_back):
        workspace, found, _ = gone_back
        evaluate(workspace, CONFIG)
        page = (workspace / PAGE).read_text(encoding="utf-8")
        assert f"{found.as_selected.value:.4f} [{found.as_selected.low:.4f}, {found.as_selected.high:.4f}]" in page

    def test_only_one_at_a_time(self, workspace, gone_back):
        """Two would do the same work and remove what the other leaves aside."""
        finished, _, _ = gone_back
        (folder,) = (finished / BACKTEST.parent / "backtest").iterdir()
        mine = workspace / BACKTEST.parent / "backtest" / folder.name
        mine.mkdir(parents=True)
        with (mine / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(NotReady, match="another backtest is running"):
                backtest(workspace, training=TRAINING, config=CONFIG)

    def test_tables_that_changed_are_refused(self, workspace):
        (manifest,) = workspace.glob("states/*/manifest.json")
        content = json.loads(manifest.read_text(encoding="utf-8"))
        content["fingerprints"]["consents"] = "what they were"
        manifest.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(BadInput, match=r"not those that the states were built.*nextproduct build"):
            backtest(workspace, training=TRAINING, config=CONFIG)
        assert [path.name for path in (workspace / BACKTEST.parent / "backtest").glob("*/*")] == ["lock"]

    def test_what_has_no_periods_is_refused(self, session_folder):
        workspace = banks.once(session_folder, "undated", build_undated_bank)
        with pytest.raises(BadInput, match="judged by hide-one, and a backtest needs dated accounts"):
            backtest(workspace, training=TRAINING, config=CONFIG)

    def test_a_history_too_short_for_the_oldest_origin_is_refused(self, workspace):
        greedy = TRAINING.model_copy(update={"validation_periods": 60})
        with pytest.raises(BadInput, match="history is too short"):
            backtest(workspace, training=greedy, config=CONFIG)

    def test_command_prints_origins_and_writes_them(self, gone_back, tmp_path):
        workspace, found, _ = gone_back
        config = tmp_path / "c.toml"
        config.write_text(
            TOML.replace("[training]\n", "[training]\nals = {factors = 4, iterations = 3}\n"
                         "propensity = {any_rounds = 12, choice_rounds = 6, min_rows = 20}\n")
            + "backtest_origins = 2\nbacktest_step = 1\n",
            encoding="utf-8",
        )  # fmt: skip
        done = in_process("backtest", workspace, "--config", config, "--json", tmp_path / "b.json")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "b.json").read_text(encoding="utf-8") == to_json(found)
        for origin in found.origins:
            assert origin.as_of in done.stdout
        assert f"{found.as_selected_difference.value:+.4f} [" in done.stdout
