import shutil
from datetime import date

import numpy as np
import pytest

import training.jobs.train
from features import block_of, current_states
from features.build import build_states
from features.errors import BadInput, NotReady
from features.states import CURRENT
from tests.training.banks import light, own_workspace, rewrite, synthetic_tables
from tests.training.jobs.killed_retrains import MOMENTS, SECONDS
from tests.training.runs import QUICK, WORTHLESS, contents, folder_of, run_script
from training import (
    CHAMPION,
    Bundle,
    EvaluationConfig,
    Tracking,
    retrain,
    train,
)
from training.tracking import CHALLENGER


class TestRetrain:
    def test_without_a_champion_says_what_to_run(self, tmp_path):
        with pytest.raises(NotReady, match=r"no champion.*nextproduct train"):
            retrain(tmp_path)

    def test_one_as_good_is_promoted(self, own):
        workspace, _ = own
        outcome = retrain(workspace, training=light(), evaluation=QUICK)
        assert (outcome.champion.number, outcome.challenger.number) == ("1", "2")
        assert (outcome.difference.low, outcome.difference.value, outcome.difference.high) == (0, 0, 0)
        assert outcome.champion_value == outcome.challenger_value > 0
        assert outcome.promoted
        assert Tracking(workspace).version(CHAMPION) == outcome.challenger

    def test_a_worse_one_is_not_and_the_alias_stays(self, own):
        workspace, _ = own
        outcome = retrain(workspace, training=WORTHLESS, evaluation=QUICK)
        assert not outcome.promoted
        assert outcome.difference.high < 0
        assert outcome.challenger_value < outcome.champion_value
        assert Tracking(workspace).version(CHAMPION).number == "1"
        assert Tracking(workspace).version(CHALLENGER) == outcome.challenger
        metrics = Tracking(workspace).client.get_run(outcome.challenger.run_id).data.metrics
        assert metrics["promoted"] == 0
        assert metrics["against_champion/map_at_7/difference"] == outcome.difference.value

    def test_a_better_one_replaces_a_worthless_champion(self, own):
        workspace, _ = own
        train(workspace, WORTHLESS)
        outcome = retrain(workspace, training=light(), evaluation=QUICK)
        assert outcome.promoted
        assert outcome.difference.low > 0

    def test_a_margin_decides_how_much_worse_is_not_worse(self, own):
        workspace, _ = own
        all_the_same = WORTHLESS.model_copy(update={"margin": 1.0})
        assert retrain(workspace, training=all_the_same, evaluation=QUICK).promoted

    @pytest.mark.parametrize("metric", ["hit_rate@2", "ndcg@10"])
    def test_the_metric_need_not_be_among_the_evaluation_s(self, own, metric):
        """Broken before: a KeyError after all the training."""
        workspace, _ = own
        outcome = retrain(
            workspace,
            training=light(models=("popularity",), select_by=metric),
            evaluation=EvaluationConfig(ks=(1,), resamples=20),
        )
        assert outcome.metric == metric

    def test_newer_tables_are_built_and_both_judged_on_what_neither_has_seen(
        self, session_folder, tmp_path, monkeypatch
    ):
        tables, workspace = tmp_path / "tables", tmp_path / "workspace"
        shutil.copytree(synthetic_tables(session_folder), tables)
        then = build_states(tables, workspace, as_of=date(2026, 4, 30)).states
        champion = train(workspace, light(models=("popularity",))).version
        assert then.calendar.end_of(Bundle.open(champion.folder).manifest.trained_to) == date(2026, 2, 28)
        asked = []
        unseen = training.jobs.train.unseen_batches

        def noting(states, *manifests):
            for batch in unseen(states, *manifests):
                asked.append(str(states.calendar.end_of(batch.batch.block.period)))
                yield batch

        monkeypatch.setattr(training.jobs.train, "unseen_batches", noting)
        outcome = retrain(workspace, training=light(models=("popularity",)), evaluation=QUICK)
        now = current_states(workspace)
        assert now.manifest.as_of == "2026-06-30"
        assert now.calendar.end_of(Bundle.open(outcome.challenger.folder).manifest.trained_to) == date(2026, 4, 30)
        assert asked == ["2026-04-30", "2026-05-31"]

    def test_newer_tables_that_break_the_contract_change_nothing(self, own):
        workspace, tables = own
        rewrite(tables, "products", "SELECT * REPLACE (NULL AS product_id) FROM t")
        champion, states = Tracking(workspace).version(CHAMPION), current_states(workspace).manifest
        with pytest.raises(BadInput, match="break the input contract"):
            retrain(workspace, training=light(), evaluation=QUICK)
        assert Tracking(workspace).version(CHAMPION) == champion
        assert current_states(workspace).manifest == states

    def test_tables_that_moved_are_read_where_they_are(self, own):
        """Broken before: building from the same tables elsewhere kept the old place."""
        workspace, tables = own
        moved = tables.rename(tables.with_name("moved tables"))
        with pytest.raises(BadInput, match=str(tables)):
            retrain(workspace, training=WORTHLESS, evaluation=QUICK)
        build_states(moved, workspace)
        assert not retrain(workspace, training=WORTHLESS, evaluation=QUICK).promoted


class TestKilledRetrain:
    @pytest.fixture(scope="class")
    @classmethod
    def killed(cls, session_folder, tmp_path_factory):
        """A copy of the workspace, with newer tables, for each moment; its retrain was killed then."""
        folder = tmp_path_factory.mktemp("killed")
        for name in (*MOMENTS, *map(str, SECONDS)):
            workspace, tables = own_workspace(session_folder, folder / f"making {name}")
            rewrite(tables, "consents", "SELECT * FROM t WHERE changed_on < DATE '2026-06-01'")
            workspace.rename(folder / name)
        done = run_script("jobs/killed_retrains.py", folder)
        assert done.returncode == 0, done.stderr
        return folder, dict(line.split(": ") for line in done.stdout.splitlines())

    @pytest.mark.parametrize("moment", [*MOMENTS, *map(str, SECONDS)])
    def test_leaves_the_champion_in_use_and_the_next_succeeds(self, killed, trained, moment):
        folder, ended = killed
        if moment in MOMENTS:
            assert ended[moment] == "True"
        workspace = folder / moment
        champion = Tracking(workspace).version(CHAMPION)
        if ended[moment] == "True":
            assert champion.number == "1"
            assert contents(champion.folder) == contents(folder_of(trained))
        states = current_states(workspace)
        assert (workspace / "states" / states.manifest.build_id).is_dir()
        block = block_of(states, np.arange(20), states.as_of_period)
        assert np.isfinite(Bundle.open(champion.folder).propensities(block)).all()

        outcome = retrain(workspace, training=light(models=("popularity",)), evaluation=QUICK)
        assert outcome.champion == champion
        assert current_states(workspace).manifest.build_id == (
            (workspace / "states" / CURRENT).read_text(encoding="utf-8").strip()
        )
        assert not list((workspace / "states").glob("*part*"))
        assert Tracking(workspace).version(CHAMPION) == (outcome.challenger if outcome.promoted else champion)
