import json
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

import training.jobs.train
from features import current_states, feature_set_of
from features.build import build_states
from features.errors import BadInput, NotReady
from tests.training.banks import light, rewrite, synthetic_tables, write_bank
from tests.training.models.fixtures import random_bank
from tests.training.runs import QUICK, contents, folder_of, run_script
from training import (
    CHAMPION,
    Bundle,
    DatedExamples,
    Tracking,
    TrainingConfig,
    evaluate,
    retrain,
    train,
)
from training.bundle import MANIFEST
from training.examples import hide_one_parts
from training.jobs.train import _select
from training.models import MODELS
from training.probabilities.blend import BLEND
from training.tracking import EXPERIMENT


def runs(workspace):
    client = Tracking(workspace).client
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


class TestTrain:
    def test_everything_about_the_run_is_kept(self, trained, states):
        version = Tracking(trained).version(CHAMPION)
        run = Tracking(trained).client.get_run(version.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params["train_periods"] == "6"
        assert run.data.params["propensity.any_rounds"] == "12"
        assert run.data.params["horizon"] == "1"
        manifest = states.manifest
        assert manifest.fingerprints.keys() >= {"customers", "products", "accounts", "balances", "contacts"}
        for table, fingerprint in manifest.fingerprints.items():
            assert run.data.tags[f"fingerprint.{table}"] == fingerprint
        assert run.data.tags["states"] == manifest.build_id
        assert run.data.tags["as_of"] == "2026-06-30"
        assert {f"validation/map_at_7/{model}" for model in MODELS} <= run.data.metrics.keys()
        artefacts = version.folder.parent
        features = json.loads((artefacts / "features.json").read_text(encoding="utf-8"))
        assert [feature["name"] for feature in features] == list(feature_set_of(states).names)
        assert (version.folder / MANIFEST).is_file()

    def test_the_blend_or_the_best_on_the_validation_dates_serves(self, trained):
        version = Tracking(trained).version(CHAMPION)
        metrics = Tracking(trained).client.get_run(version.run_id).data.metrics
        bundle = Bundle.open(version.folder)
        validation = {name: metrics[f"validation/map_at_7/{name}"] for name in bundle.names}
        assert BLEND in bundle.names
        assert min(validation.values()) > 0
        assert bundle.manifest.selected in {BLEND, max(bundle.models, key=lambda name: validation[name])}

    @pytest.mark.parametrize(("knows_all", "serves"), [("single", "single"), (BLEND, BLEND), ("neither", BLEND)])
    def test_the_blend_serves_unless_a_single_model_is_better_beyond_noise(self, knows_all, serves):
        """Scorers that guess, but for one that was told what each customer will acquire."""
        examples = random_bank(n_customers=600)
        answers = {id(batch.block): batch.acquired for batch in examples.kept}

        def propensities(block, model):
            guess = np.random.default_rng([len(model), block.period]).random(block.candidates.shape)
            return (guess + 2.0 * (answers[id(block)] if model == knows_all else 0)).astype(np.float32)

        bundle = SimpleNamespace(names=("single", BLEND), models=("single",), blend=True, propensities=propensities)
        found, selected = _select(bundle, examples, TrainingConfig())
        assert selected == serves
        assert set(found) == {"single", BLEND}

    @pytest.mark.parametrize("model", MODELS)
    def test_propensities_are_calibrated_on_the_validation_dates(self, trained, states, model):
        """The intercept's score equation: what is expected there is what happened there."""
        bundle = Bundle.open(folder_of(trained))
        first = bundle.manifest.trained_to - 2  # validation_periods, each with a label a period later
        calibrated = expected = realised = 0.0
        for batch in DatedExamples(states, (first, first + 1), 1).batches():
            scores = bundle.models[model].score(batch.block)
            calibrated += bundle.calibrations[model].apply(scores).sum(where=batch.block.candidates, dtype=np.float64)
            expected += bundle.propensities(batch.block, model).sum(dtype=np.float64)
            realised += batch.acquired.sum()
        assert realised > 20
        assert calibrated == pytest.approx(realised, rel=0.01)
        # most products of so small a bank are too rare to stand on their own: the years before have a say
        assert expected == pytest.approx(realised, rel=0.1)

    def test_the_manifest_says_what_the_bundle_has_seen(self, trained, states):
        manifest = Bundle.open(folder_of(trained)).manifest
        assert manifest.trained_to == states.as_of_period - 2  # test_periods
        assert manifest.build_id == states.manifest.build_id
        assert manifest.fingerprints == states.manifest.fingerprints
        assert manifest.protocol == "periods"

    def test_twice_gives_the_same_bytes(self, own):
        workspace, _ = own
        first = contents(folder_of(workspace))
        version = train(workspace, light()).version
        assert version.number == "2"
        assert contents(version.folder) == first

    def test_another_seed_gives_others(self, own):
        workspace, _ = own
        first, _ = contents(folder_of(workspace))
        version = train(workspace, light(propensity={"seed": 7, "any_rounds": 12, "choice_rounds": 6})).version
        assert contents(version.folder)[0] != first

    def test_without_states_says_what_to_run(self, tmp_path):
        with pytest.raises(NotReady, match="run `nextproduct build TABLES"):
            train(tmp_path, light())

    def test_a_history_too_short_is_refused_and_the_champion_stays(self, own):
        workspace, _ = own
        before = Tracking(workspace).version(CHAMPION)
        with pytest.raises(BadInput, match="history is too short to train"):
            train(workspace, light(validation_periods=30, test_periods=30))
        assert Tracking(workspace).version(CHAMPION) == before

    @pytest.mark.parametrize("failure", [RuntimeError("the disk is full"), KeyboardInterrupt()])
    def test_a_run_that_fails_is_marked_and_the_champion_stays(self, own, monkeypatch, failure):
        workspace, _ = own
        before = Tracking(workspace).version(CHAMPION)

        def fail(*_arguments):
            raise failure

        monkeypatch.setattr(training.jobs.train, "fit_bundle", fail)
        with pytest.raises(type(failure)):
            train(workspace, light())
        assert sorted(run.info.status for run in runs(workspace)) == ["FAILED", "FINISHED"]
        assert Tracking(workspace).version(CHAMPION) == before

    def test_no_job_touches_the_network(self, session_folder, tmp_path):
        done = run_script("without_network.py", synthetic_tables(session_folder), tmp_path / "workspace")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"


class TestConfig:
    @pytest.mark.parametrize("name", ["map@7", "hit_rate@3", "ndcg@10"])
    def test_a_metric_to_select_by(self, name):
        assert TrainingConfig(select_by=name).select_by == name

    @pytest.mark.parametrize("name", ["auc", "map", "map@", "map@x", "map@0", "map@-1", "profit@7", "@7"])
    def test_a_metric_that_is_none_is_refused(self, name):
        """Broken before: found out after all models were fitted, or by a traceback."""
        with pytest.raises(ValueError, match=f"no metric '{name}'; give one of hit_rate"):
            TrainingConfig(select_by=name)

    def test_models_must_be_known_and_popularity_among_them(self):
        with pytest.raises(ValueError, match=r"unknown model \['oracle'\]; there are: popularity"):
            TrainingConfig(models=("popularity", "oracle"))
        with pytest.raises(ValueError, match="popularity must be among the models"):
            TrainingConfig(models=("ease",))


CUT = date(2026, 4, 30)
"""The end of the last period that the champion has seen: the newest is June, two are kept for tests."""


class TestNothingOfTheFutureIsLearnt:
    """Everything that happened or became known after the cut is rewritten; the bundle does not change by a byte."""

    def rewritten(self, tables):
        later = f"> DATE '{CUT}'"
        other_product = "CASE product_id WHEN 'payroll' THEN 'gold_accumulation' ELSE 'payroll' END"
        rewrite(
            tables,
            "accounts",
            # opened later: some never were, others were of another product; closed later: never closed
            f"SELECT account_id, customer_id, CASE WHEN opened_on {later} THEN {other_product} ELSE product_id END "
            "AS product_id, opened_on, "
            f"CASE WHEN closed_on {later} OR opened_on {later} THEN NULL ELSE closed_on END AS closed_on, "
            f"CASE WHEN matures_on {later} THEN NULL ELSE matures_on END AS matures_on, "
            f"CASE WHEN recorded_on {later} AND opened_on <= DATE '{CUT}' THEN DATE '2026-06-30' "
            "ELSE recorded_on END AS recorded_on "
            f"FROM t WHERE NOT (opened_on {later} AND hash(account_id) % 2 = 0)",
        )
        for name, values in {
            "balances": "average_balance * 3 + 100 AS average_balance",
            "activity": "count + 7 AS count",
            "payments": "amount * 9 AS amount",
        }.items():
            column = values.rpartition(" ")[2]
            changed = values.removesuffix(f" AS {column}")
            rewrite(
                tables,
                name,
                f"SELECT * REPLACE (CASE WHEN period {later} THEN {changed} ELSE {column} END AS {column}) FROM t "
                f"WHERE NOT (period {later} AND hash(period, {column}) % 3 = 0)",
            )
        rewrite(
            tables,
            "contacts",
            f"SELECT * REPLACE (CASE WHEN contacted_on {later} THEN 'payroll' ELSE product_id END AS product_id, "
            f"CASE WHEN outcome_on {later} THEN 'accepted' ELSE outcome END AS outcome) "
            f"FROM t WHERE NOT (contacted_on {later} AND hash(contact_id) % 2 = 0)",
        )
        rewrite(
            tables,
            "complaints",
            f"SELECT * REPLACE (CASE WHEN resolved_on {later} THEN NULL ELSE resolved_on END AS resolved_on) "
            f"FROM t WHERE opened_on <= DATE '{CUT}'",
        )
        rewrite(tables, "consents", f"SELECT * FROM t WHERE changed_on <= DATE '{CUT}'")
        rewrite(
            tables,
            "customers",
            f"SELECT * REPLACE (CASE WHEN valid_from {later} THEN 'private' ELSE tier END AS tier, "
            f"CASE WHEN valid_from {later} THEN 1 ELSE income END AS income) FROM t",
        )

    def test_the_bundle_is_the_same_byte_for_byte(self, own, session_folder):
        workspace, tables = own
        before = current_states(workspace)
        expected = contents(folder_of(workspace))
        self.rewritten(tables)
        now = build_states(tables, workspace).states
        assert now.manifest.as_of == before.manifest.as_of
        assert all(
            now.manifest.fingerprints[name] != fingerprint
            for name, fingerprint in before.manifest.fingerprints.items()
            if name != "products"
        )
        version = train(workspace, light()).version
        manifest = Bundle.open(version.folder).manifest
        assert now.calendar.end_of(manifest.trained_to) == CUT
        assert contents(version.folder) == expected
        # and the rewriting was no trifle: what happens after the cut is something else now
        t = np.arange(now.n_customers), manifest.trained_to, 2
        assert now.history.opened_within(*t).sum() != before.history.opened_within(*t).sum()


class TestEvaluate:
    def test_every_model_is_judged_and_the_report_kept(self, own):
        workspace, _ = own
        report = evaluate(workspace, QUICK)
        assert set(report.models) == set(Bundle.open(folder_of(workspace)).names) >= set(MODELS)
        assert report.protocol == "periods"
        version = Tracking(workspace).version(CHAMPION)
        stored = (workspace / "reports" / "evaluation.json").read_text(encoding="utf-8")
        assert stored == report.to_json()
        assert (version.folder.parent / "evaluation.json").read_text(encoding="utf-8") == stored
        metrics = Tracking(workspace).client.get_run(version.run_id).data.metrics
        logged = {name: value for name, value in metrics.items() if not name.startswith("validation/")}
        assert len(logged) > 5 * len(MODELS)
        assert set(logged.values()) <= set(report.flat_metrics().values())

    def test_twice_gives_the_same_report(self, own):
        workspace, _ = own
        assert evaluate(workspace, QUICK).to_json() == evaluate(workspace, QUICK).to_json()

    def test_without_a_champion_says_what_to_run(self, own):
        workspace, _ = own
        (workspace / "mlflow.db").unlink()
        with pytest.raises(NotReady, match=r"no champion in the registry.*nextproduct train"):
            evaluate(workspace, QUICK)

    def test_a_damaged_champion_is_refused(self, own):
        workspace, _ = own
        (folder_of(workspace) / "catalogue.json").write_text("[]", encoding="utf-8")
        with pytest.raises(BadInput, match=r"catalogue\.json"):
            evaluate(workspace, QUICK)


class TestMovedWorkspace:
    def test_works_where_it_is(self, own):
        """Broken before: see `test_tracking`."""
        workspace, _ = own
        moved = workspace.rename(workspace.with_name("moved"))
        assert evaluate(moved, QUICK).models
        version = train(moved, light()).version
        assert version.folder.is_relative_to(moved)
        assert Bundle.open(Tracking(moved).version(CHAMPION).folder).models
        assert not workspace.exists()


class TestUndatedHoldings:
    @pytest.fixture
    def workspace(self, tmp_path):
        rng = np.random.default_rng(1)
        self.write(tmp_path / "tables", rng, range(400))
        build_states(tmp_path / "tables", tmp_path)
        train(tmp_path, light(models=("popularity", "ease")))
        return tmp_path

    def write(self, tables, rng, numbers):
        """Two tastes: those who hold a mostly hold b, those who hold c mostly hold d; e is anybody's."""
        accounts = []
        for number in numbers:
            taste = ("a", "b") if number % 3 else ("c", "d")
            held = {product for product in taste if rng.random() < 0.8} | {p for p in "abcde" if rng.random() < 0.15}
            accounts += [(f"h{number}", product) for product in sorted(held)]
        write_bank(
            tables,
            {
                "customers": [{"customer_id": f"h{number}", "kind": "retail"} for number in numbers],
                "products": [
                    {"product_id": p, "name": p, "name_zh": "", "family": "f", "customer_kind": "retail"}
                    for p in "abcde"
                ],
                "accounts": [
                    {"account_id": f"{c}{p}", "customer_id": c, "product_id": p, "opened_on": ""} for c, p in accounts
                ],
            },
        )

    def test_are_judged_by_hiding_one(self, workspace):
        report = evaluate(workspace, QUICK)
        assert (report.protocol, report.selected) == ("hide-one", BLEND)
        states = current_states(workspace)
        holders = np.flatnonzero(np.diff(states.history.indptr))
        test = hide_one_parts(states, 1)[2]
        assert report.counts.rows == len(np.intersect1d(test, holders))
        assert report.models["ease"]["hit_rate@1"].value > report.models["popularity"]["hit_rate@1"].value

    def test_are_retrained_on_newer_tables(self, workspace):
        self.write(workspace / "tables", np.random.default_rng(2), range(100, 600))
        outcome = retrain(workspace, training=light(models=("popularity", "ease")), evaluation=QUICK)
        assert outcome.champion.number == "1"
        assert outcome.champion_value > 0.5
