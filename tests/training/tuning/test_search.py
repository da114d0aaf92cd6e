import shutil
import tomllib
from dataclasses import replace

import numpy as np
import pytest

import training.tuning.search
from features import current_states
from features.build import build_states
from features.errors import BadInput, NotReady
from serving.config_file import CONFIG_FILE, read_section
from tests.command import in_process
from tests.training.banks import LIGHT, light, rewrite, synthetic_tables
from training import Tracking
from training.config import TrainingConfig, TuningConfig
from training.evaluation import EvaluationBatch, evaluate_scorers
from training.evaluation.intervals import BootstrapEstimate
from training.examples import DatedExamples, hide_one_parts
from training.jobs.train import fit_bundle
from training.models import EASE, MODELS
from training.tracking import EXPERIMENT
from training.tuning.search import honest_gain, tune, tuning_examples
from training.tuning.search_spaces import SEARCH_SPACES, Choice, Whole
from training.tuning.trials import DATABASE, Trial

FEW = TuningConfig(trials=6, resamples=40)


@pytest.fixture(scope="module")
def prepared(trained, tmp_path_factory):
    """The states of the trained workspace, and stores with nothing to find in them."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(trained / "states", folder / "states")
    tune(folder, "item_item", light(), TuningConfig(trials=1))
    return folder


@pytest.fixture
def workspace(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "workspace")


@pytest.fixture
def small_space(monkeypatch):
    """Settings of propensity that take no time."""
    monkeypatch.setitem(SEARCH_SPACES, "propensity", {"any_rounds": Whole(4, 20), "choice_rounds": Whole(2, 8)})


def found(outcome):
    """What is to be the same when everything that matters is."""
    return [(trial.settings, trial.estimate.value, trial.estimate.replicates.tolist()) for trial in outcome.trials]


def runs_of(workspace, model):
    client = Tracking(workspace).client
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    return [run for run in runs if model in run.info.run_name]


class TestSpaces:
    @pytest.mark.parametrize("model", SEARCH_SPACES)
    def test_every_field_is_one_of_the_model_s_settings(self, model):
        assert set(SEARCH_SPACES[model]) <= set(MODELS[model].Config.model_fields)

    @pytest.mark.parametrize("model", SEARCH_SPACES)
    def test_the_defaults_and_both_ends_are_possible(self, model):
        config = MODELS[model].Config()
        for name, space in SEARCH_SPACES[model].items():
            ends = space.values if isinstance(space, Choice) else (space.low, space.high)
            if isinstance(space, Choice):
                assert getattr(config, name) in ends, name
            else:
                assert space.low <= getattr(config, name) <= space.high, name
            for end in ends:
                changed = MODELS[model].Config.model_validate(config.model_dump() | {name: space.setting(end)})
                assert getattr(changed, name) == end, name

    def test_a_value_in_use_outside_the_range_can_be_tried(self):
        assert SEARCH_SPACES["ease"]["l2"].distribution(0.5).low == 0.5
        assert SEARCH_SPACES["als"]["factors"].distribution(2).low == 2
        assert SEARCH_SPACES["popularity"]["window"].distribution(7).choices[-1] == 7
        assert None in SEARCH_SPACES["popularity"]["window"].distribution(None).choices


class TestDates:
    def test_are_the_newest_that_training_learns_from(self, states):
        learn, judged = tuning_examples(states, light(train_periods=6), FEW)
        # as_of - 2 test dates - 1 label - 2 validation dates - 1 label, counted from 0
        newest = states.as_of_period - 2 - 1 - 1 - 1
        assert {batch.block.period for batch in judged} == {newest, newest - 1, newest - 2}
        assert {batch.block.period for batch in learn.batches()} == {newest - 3, newest - 4, newest - 5}
        assert learn.latest_period == newest - 2

    @pytest.mark.parametrize("horizon", [1, 3])
    def test_no_label_reaches_into_a_later_part(self, states, horizon):
        config = light(train_periods=24, horizon=horizon)
        learn, judged = tuning_examples(states, config, FEW)
        validation = config.split(states).validation
        judged_on = {batch.block.period for batch in judged}
        assert learn.latest_period <= min(judged_on)
        assert max(judged_on) + horizon <= min(validation.periods)

    def test_undated_holdings_are_parted_by_customer(self, undated_states):
        everyone = undated_states
        learn, judged = tuning_examples(everyone, TrainingConfig(seed=5), TuningConfig(seed=0))
        theirs = {int(position) for batch in judged for position in batch.block.positions}
        seen = set(np.flatnonzero(np.diff(learn.holdings().indptr)))
        assert theirs
        assert seen
        assert not theirs & seen
        assert theirs | seen <= set(hide_one_parts(everyone, 5)[0])

    def test_without_any_acquisition_they_are_refused(self, undated_states):
        with pytest.raises(BadInput, match="no acquisition to learn from"):
            tuning_examples(undated_states, TrainingConfig(seed=6), TuningConfig(seed=3))

    def test_of_many_rows_some_are_drawn(self, states):
        everyone = tuning_examples(states, light(), FEW)[1]
        drawn = tuning_examples(states, light(), FEW.model_copy(update={"max_rows": 1000}))[1]
        n_rows = sum(batch.block.n_customers for batch in everyone)
        assert n_rows > 1500
        # five standard deviations of a binomial number
        share = 1000 / n_rows
        n_drawn = sum(batch.block.n_customers for batch in drawn)
        assert abs(n_drawn - 1000) < 5 * (n_rows * share * (1 - share)) ** 0.5
        for batch, whole in zip(drawn, everyone, strict=True):
            rows = np.searchsorted(whole.block.positions, batch.block.positions)
            assert np.array_equal(whole.block.positions[rows], batch.block.positions)
            assert np.array_equal(whole.acquired[rows], batch.acquired)
            assert np.array_equal(whole.block.take(rows).features, batch.block.features, equal_nan=True)

    def test_too_few_are_refused(self, states):
        with pytest.raises(BadInput, match=r"training has 6 dates, of which the newest 6 .*lower tuning.periods"):
            tuning_examples(states, light(train_periods=6), TuningConfig(periods=6))


class TestTrials:
    def test_are_judged_as_train_judges(self, workspace, states):
        """`train` with its parts moved back to those of the trials."""
        outcome = tune(workspace, "ease", light(), TuningConfig(trials=1))
        moved = light(models=("popularity", "ease"), train_periods=3, validation_periods=3, test_periods=4)
        bundle, _ = fit_bundle(states, moved)
        model, calibration = bundle.models["ease"], bundle.calibrations["ease"]
        newest = states.as_of_period - 5
        evaluation = evaluate_scorers(
            [
                EvaluationBatch(batch, batch.block.positions)
                for batch in DatedExamples(states, (newest, newest - 1, newest - 2), 1).batches()
            ],
            {"ease": lambda block: calibration.apply(model.score(block))},
            ks=(7,), seed=1, resamples=200, probabilistic=frozenset(),
        )  # fmt: skip
        expected = evaluation.estimates["ease"]["map@7"]
        assert outcome.present.estimate.value == expected.value
        np.testing.assert_allclose(outcome.present.estimate.replicates, expected.replicates, rtol=1e-12)

    def test_the_settings_in_use_come_first_and_the_best_is_not_worse(self, workspace, small_space):
        outcome = tune(workspace, "propensity", light(), FEW)
        assert [trial.number for trial in outcome.trials] == list(range(6))
        assert outcome.added == 6
        assert outcome.trials[0].settings == {"any_rounds": 12, "choice_rounds": 6}
        assert outcome.trials[0] is outcome.present
        values = [trial.estimate.value for trial in outcome.trials]
        assert outcome.best.estimate.value == max(values)
        assert min(values) > 0
        assert len({tuple(trial.settings.items()) for trial in outcome.trials}) > 3

    def test_stop_when_the_time_is_up(self, workspace):
        outcome = tune(workspace, "ease", light(), TuningConfig(minutes=1e-6))
        assert (outcome.added, len(outcome.trials)) == (1, 1)
        assert outcome.best is outcome.present
        assert (outcome.gain.value, outcome.gain.low, outcome.gain.high) == (0, 0, 0)
        assert "the best of them" in outcome.summary()

    def test_one_that_cannot_be_fitted_is_noted_and_left_behind(self, workspace, monkeypatch):
        learn = EASE._learn

        def failing(self, holdings):
            if self.config.l2 > 100:
                raise ArithmeticError("too much")
            learn(self, holdings)

        monkeypatch.setattr(EASE, "_learn", failing)
        outcome = tune(workspace, "ease", light(), FEW)
        assert outcome.failed > 0
        assert len(outcome.trials) + outcome.failed == outcome.added == 6
        assert all(trial.settings["l2"] <= 100 for trial in outcome.trials)
        again = tune(workspace, "ease", light(), FEW)
        assert (again.added, again.failed) == (0, outcome.failed)

    def test_settings_in_use_that_cannot_be_fitted_are_an_error(self, workspace, monkeypatch):
        monkeypatch.setattr(EASE, "_learn", lambda self, holdings: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tune(workspace, "ease", light(), FEW)

    def test_what_cannot_be_tuned_is_named(self, workspace):
        with pytest.raises(BadInput, match="'magic' has no settings to tune; there are: popularity, "):
            tune(workspace, "magic", light(), FEW)
        with pytest.raises(NotReady, match="no customer states"):
            tune(workspace.parent, "ease", light(), FEW)

    def test_are_runs_within_a_run(self, workspace):
        outcome = tune(workspace, "ease", light(), FEW.model_copy(update={"trials": 2}))
        runs = runs_of(workspace, "ease")
        (whole,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        within = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert {(float(run.data.params["l2"]), run.data.metrics["tuning/map_at_7"]) for run in within} == {
            (trial.settings["l2"], trial.estimate.value) for trial in outcome.trials
        }
        assert whole.data.metrics["tuning/map_at_7/best"] == outcome.best.estimate.value


class TestGoingOn:
    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, prepared, tmp_path_factory):
        """An undisturbed run, and the workspace it leaves."""
        workspace = shutil.copytree(prepared, tmp_path_factory.mktemp("undisturbed") / "workspace")
        return tune(workspace, "ease", light(), FEW), workspace

    def test_a_repeated_run_adds_what_is_missing(self, workspace, whole):
        first = tune(workspace, "ease", light(), FEW.model_copy(update={"trials": 2}))
        second = tune(workspace, "ease", light(), FEW)
        third = tune(workspace, "ease", light(), FEW)
        assert [outcome.added for outcome in (first, second, third)] == [2, 4, 0]
        assert found(third) == found(second) == found(whole[0])

    @pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
    def test_a_run_cut_off_goes_on_as_if_nothing_had_happened(self, workspace, whole, monkeypatch, end):
        calls = []
        fit = EASE.fit

        def cut_off(self, examples):
            calls.append(1)
            if len(calls) == 4:
                raise end
            return fit(self, examples)

        monkeypatch.setattr(EASE, "fit", cut_off)
        if end is KeyboardInterrupt:  # by hand: says what there is
            outcome = tune(workspace, "ease", light(), FEW)
            assert outcome.interrupted
            assert found(outcome) == found(whole[0])[:3]
            assert "run it again to go on" in outcome.summary()
        else:
            with pytest.raises(SystemExit):
                tune(workspace, "ease", light(), FEW)
        assert found(tune(workspace, "ease", light(), FEW)) == found(whole[0])

    def test_cut_off_in_the_first_trial_there_is_nothing_to_tell(self, workspace, monkeypatch):
        monkeypatch.setattr(EASE, "fit", lambda self, examples: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tune(workspace, "ease", light(), FEW)
        assert [run.info.status for run in runs_of(workspace, "ease")] == ["FAILED"]

    def test_trials_of_other_settings_or_states_do_not_mix(self, whole, tmp_path):
        workspace = shutil.copytree(whole[1], tmp_path / "workspace")
        one = FEW.model_copy(update={"trials": 1})
        assert tune(workspace, "ease", light(), one).added == 0
        for other in (light(train_periods=5), light(select_by="mrr@3")):
            assert tune(workspace, "ease", other, one).added == 1
        manifest = next(workspace.glob("states/*/manifest.json"))
        build_id = current_states(workspace).manifest.build_id
        manifest.write_text(manifest.read_text(encoding="utf-8").replace(build_id, "rebuilt"), encoding="utf-8")
        assert tune(workspace, "ease", light(), one).added == 1

    def test_the_best_settings_taken_into_use_do_not_begin_anew(self, whole, tmp_path):
        outcome, workspace = whole
        again = tune(shutil.copytree(workspace, tmp_path / "workspace"), "ease", light(ease=outcome.best.settings), FEW)
        assert again.added == 0
        assert again.present.settings == again.best.settings == outcome.best.settings
        assert again.trials[0].settings == {"l2": 100.0}

    def test_two_at_once_are_refused(self, workspace, monkeypatch):
        def within(*_):
            return tune(workspace, "ease", light(), FEW)

        monkeypatch.setattr(training.tuning.search, "_run", within)
        with pytest.raises(NotReady, match="another `nextproduct tune` is at work"):
            within()

    def test_a_store_half_made_is_made_again(self, workspace):
        (workspace / DATABASE).unlink()
        (workspace / f".{DATABASE}.new").write_bytes(b"half")
        assert tune(workspace, "ease", light(), TuningConfig(trials=1)).added == 1


class TestFuture:
    def test_rewriting_it_changes_no_trial(self, session_folder, prepared, workspace, tmp_path, states, small_space):
        """All after the last label to tune on: the dates of the selection and those of the test."""
        tables = shutil.copytree(synthetic_tables(session_folder), workspace / "tables")
        cut = states.calendar.end_of(states.as_of_period - 4)
        last = states.calendar.end_of(states.as_of_period)
        for table, day in (("accounts", "opened_on"), ("contacts", "contacted_on"), ("complaints", "opened_on")):
            rewrite(tables, table, f"SELECT * FROM t WHERE {day} <= DATE '{cut}' OR hash({day}) % 3 = 0")
        rewrite(
            tables, "accounts",
            f"SELECT * REPLACE (CASE WHEN closed_on > DATE '{cut}' THEN NULL ELSE closed_on END AS closed_on) FROM t",
        )  # fmt: skip
        rewrite(tables, "balances", f"SELECT * FROM t WHERE period <= DATE '{cut}'")
        build_states(tables, workspace, as_of=last)
        rewritten = current_states(workspace)
        assert rewritten.manifest.build_id != states.manifest.build_id
        assert rewritten.as_of_period == states.as_of_period
        before, after = (s.history.holdings_at(s.as_of_period) for s in (states, rewritten))
        assert (before != after).sum() > 50
        original = shutil.copytree(prepared, tmp_path / "original")
        for model in ("propensity", "popularity", "als", "transition"):
            few = FEW.model_copy(update={"trials": 1})
            assert found(tune(original, model, light(), few)) == found(tune(workspace, model, light(), few)), model


def trial(number, value, replicates):
    return Trial(number, {"l2": float(number)}, BootstrapEstimate(value, np.array(replicates)))


class TestGain:
    def test_by_hand(self):
        """Two resamples; the second trial wins the first by 0.5 and loses the second to the first by 0.1."""
        trials = (trial(0, 1.0, [1.0, 1.0]), trial(1, 1.2, [1.5, 0.9]))
        gain = honest_gain(trials[1], trials[0], trials)
        luck = ((0.5 - 0.2) + 0.0) / 2
        assert gain.value == pytest.approx(0.2 - luck)
        # quantiles of -0.1 and 0.5
        assert gain.low == pytest.approx(-0.1 + 0.025 * 0.6 - luck)
        assert gain.high == pytest.approx(-0.1 + 0.975 * 0.6 - luck)

    def test_of_many_alike_is_noise(self):
        """Values and resamples scatter alike, as they do where settings make no difference."""
        generator = np.random.default_rng(0)
        claimed = 0
        for _ in range(100):
            values = generator.normal(size=50)
            trials = tuple(trial(n, v, v + generator.normal(size=200)) for n, v in enumerate(values))
            best = max(trials, key=lambda one: one.estimate.value)
            claimed += honest_gain(best, trials[0], trials).low > 0
        assert claimed <= 10

    def test_of_a_real_winner_is_found(self):
        generator = np.random.default_rng(0)
        trials = [trial(n, v, v + generator.normal(size=200)) for n, v in enumerate(generator.normal(size=20))]
        trials.append(trial(20, 10.0, 10.0 + generator.normal(size=200)))
        gain = honest_gain(trials[-1], trials[0], tuple(trials))
        assert gain.low > 0
        assert gain.value == pytest.approx(10.0 - trials[0].estimate.value, abs=0.2)


class TestCommand:
    @pytest.fixture
    def configured(self, workspace):
        (workspace / CONFIG_FILE).write_text(f"# ours\n{LIGHT}\n[tuning]\ntrials = 5\n", encoding="utf-8")
        return workspace

    def test_prints_the_best_and_writes_it_when_asked(self, configured):
        done = in_process("tune", configured, "--model", "ease", "--trials", "3")
        assert done.returncode == 0, done.stderr
        assert "ease: 3 trials (3 new), judged by map@7" in done.stderr
        assert "[training.ease]\nl2 = " in done.stdout
        assert "ease" not in (configured / CONFIG_FILE).read_text(encoding="utf-8")
        done = in_process("tune", configured, "--model", "ease", "--write")
        assert "ease: 5 trials (2 new)" in done.stderr
        best = tomllib.loads(done.stdout)["training"]["ease"]["l2"]
        text = (configured / CONFIG_FILE).read_text(encoding="utf-8")
        assert text.startswith("# ours\n")
        config = read_section(configured / CONFIG_FILE, "training", TrainingConfig)
        assert config == light(ease={"l2": best})
        done = in_process("tune", configured, "--model", "ease")
        assert "ease: 5 trials (0 new)" in done.stderr
        assert "The settings in use are the best of them" in done.stderr

    def test_stopped_by_hand_it_says_what_there_is_and_writes_nothing(self, configured, monkeypatch):
        before = (configured / CONFIG_FILE).read_text(encoding="utf-8")
        calls = []

        def stopped(self, holdings):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            learn(self, holdings)

        learn = EASE._learn
        monkeypatch.setattr(EASE, "_learn", stopped)
        done = in_process("tune", configured, "--model", "ease", "--write")
        assert done.returncode == 130
        assert "Stopped by hand; run it again to go on." in done.stderr
        assert "l2 = 100.0" in done.stdout
        assert (configured / CONFIG_FILE).read_text(encoding="utf-8") == before

    def test_a_file_that_cannot_be_written_is_refused_first(self, workspace, tmp_path):
        (tmp_path / "mine.yaml").write_text("training: {}\n", encoding="utf-8")
        done = in_process("tune", workspace, "--write", "--config", tmp_path / "mine.yaml")
        assert done.returncode == 1
        assert "mine.yaml is not a TOML file" in done.stderr


def test_the_best_settings_are_left_in_a_file(workspace):
    outcome = tune(workspace, "ease", light(), FEW)
    file = workspace / "reports" / "tuned-ease.toml"
    assert (
        file.read_text(encoding="utf-8")
        == outcome.to_toml()
        == f"[training.ease]\nl2 = {outcome.best.settings['l2']}\n"
    )
    assert replace(outcome, best=trial(0, 0.0, [0.0])).to_toml() == "[training.ease]\nl2 = 0.0\n"
