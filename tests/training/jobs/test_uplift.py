import gzip
from dataclasses import replace

import numpy as np
import pytest

from features import block_of
from features.build import build_states
from features.errors import NotReady
from features.sources.importers import import_hillstrom
from features.states import current_states
from tests.command import in_process
from training import CHAMPION, Bundle, EvaluationConfig, Tracking, TrainingConfig
from training.evaluation.serial import from_json
from training.jobs.uplift import REPORT, measure_uplift, uplift_of_bundle
from training.uplift import LEARNERS, UpliftConfig, fit_uplift, trials_of
from training.uplift.report import BASELINE, LATER, OTHERS, UpliftReport

FEW = UpliftConfig(
    learner="odds_learner", min_contacts=20, min_acquisitions=2, folds=2, outcome_rounds=5, effect_rounds=5, min_rows=20
)
QUICK = EvaluationConfig(resamples=20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An e-mail campaign of 4,000 customers, made at once: visits by one in ten, three in ten of the women e-mailed."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(2)
    lines = ["recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend"]
    for _ in range(4000):
        womens, arm = rng.integers(0, 2), rng.integers(0, 3)
        visit = rng.random() < (0.3 if arm == 1 and womens else 0.1)
        segment = ("Mens E-Mail", "Womens E-Mail", "No E-Mail")[arm]
        lines.append(
            f"{rng.integers(1, 13)},1) $0 - $100,{rng.random():.2f},1,{womens},Rural,0,Web,{segment},{visit:d},0,0"
        )
    (folder / "hillstrom.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    import_hillstrom(folder, folder / "tables")
    build_states(folder / "tables", folder / "workspace")
    return folder / "workspace"


@pytest.fixture(scope="module")
def measured(shop):
    """What the command prints, and the report it writes."""
    (shop / "nextproduct.toml").write_text("[evaluation]\nresamples = 20\n", encoding="utf-8")
    shown = in_process("uplift", shop, "--json", shop / "uplift.json")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout, (shop / "uplift.json").read_text(encoding="utf-8")


class TestMeasureUplift:
    def test_contacts_made_at_once_are_judged_on_other_customers(self, measured):
        report = from_json(UpliftReport, measured[1])
        assert report.protocol == OTHERS
        assert set(report.learners) == set(LEARNERS)
        assert set(report.differences) == set(LEARNERS) - {BASELINE}
        assert abs(report.learned_from.customers - report.judged_on.customers) <= 1
        # one campaign of two has an effect of 0.2, on half of the customers
        effect = report.learners["stacked"]["average_effect"]
        assert effect.low < 0.2 / 4 < effect.high
        assert report.learners["stacked"]["qini"].low > 0
        best, worst = report.bins[0], report.bins[-1]
        assert best.predicted > worst.predicted
        assert best.measured.value > worst.measured.value

    def test_the_report_is_kept_logged_and_shown(self, shop, measured):
        shown, text = measured
        assert "stacked (serves)" in shown
        assert "Judged on other customers" in shown
        assert text == (shop / REPORT).read_text(encoding="utf-8")
        report = from_json(UpliftReport, text)
        client = Tracking(shop).client
        run = client.search_runs([client.get_experiment_by_name("nextproduct").experiment_id], max_results=1)[0]
        assert run.data.metrics["uplift/stacked/qini"] == pytest.approx(report.learners["stacked"]["qini"].value)
        assert run.info.run_name == "uplift"

    def test_too_few_contacts_are_refused_with_the_count(self, undated_states, session_folder):
        with pytest.raises(NotReady, match="0 contacts with a randomised arm"):
            measure_uplift(session_folder / "once" / "undated")

    def test_later_contacts_are_judged_by_what_was_known_before(self, own):
        workspace, _ = own
        training = TrainingConfig(train_periods=3, models=("popularity",), uplift=FEW)
        report = measure_uplift(workspace, training, QUICK)
        assert report.protocol == LATER
        assert report.with_propensities
        states = current_states(workspace)
        cut = states.as_of_period - 6
        assert report.judged_on.contacts == len(trials_of(states, horizon=1, later_than=cut))
        assert report.learned_from.contacts == len(trials_of(states, horizon=1, known_to=cut))


@pytest.fixture(scope="module")
def bundle(trained, states):
    """The champion, with effects learned from far too few contacts."""
    opened = Bundle.open(Tracking(trained).version(CHAMPION).folder)
    assert opened.uplift is None
    trials = trials_of(states, horizon=1, known_to=opened.manifest.trained_to, propensities=opened.propensities)
    opened.uplift = fit_uplift(trials, FEW).learner
    return opened


class TestBundle:
    def test_effects_are_of_candidates(self, bundle, states):
        block = block_of(states, np.arange(states.n_customers), states.as_of_period)
        found = bundle.effects(block)
        assert found.dtype == np.float32
        assert found.shape == block.candidates.shape
        assert (found[~block.candidates] == 0).all()
        assert (found[block.candidates] != 0).mean() > 0.9
        assert np.array_equal(found, bundle.uplift.effects(block, bundle.propensities(block)))

    def test_effects_are_the_same_alone_and_after_opening(self, bundle, states, tmp_path):
        block = block_of(states, np.arange(100), states.as_of_period)
        found = bundle.effects(block)
        for row in (0, 17, 99):
            alone = bundle.effects(block.take(np.array([row])))
            assert alone.tobytes() == found[[row]].tobytes()
        bundle.save(tmp_path)
        for only_selected in (False, True):
            assert Bundle.open(tmp_path, only_selected=only_selected).effects(block).tobytes() == found.tobytes()

    def test_a_product_of_later_is_nowhere_in_the_layout(self, bundle, states):
        shorter = replace(bundle.layout, products=bundle.layout.products[1:])
        assert shorter.positions_of(states.catalogue).tolist() == list(range(-1, len(shorter.products)))

    def test_a_bundle_may_know_none(self, trained, states):
        known = Bundle.open(Tracking(trained).version(CHAMPION).folder)
        block = block_of(states, np.arange(3), states.as_of_period)
        assert known.effects(block) is None
        assert uplift_of_bundle(known, states, QUICK) == {}

    def test_is_judged_on_contacts_made_since(self, bundle, states):
        found = uplift_of_bundle(bundle, states, QUICK)
        later = trials_of(states, horizon=1, later_than=bundle.manifest.trained_to)
        assert later.acquired.any()
        assert {"qini", "auuc", "uplift@30"} <= found.keys()
        treated, control = later.treated, ~later.treated
        means = [np.average(later.acquired[arm], weights=later.weights[arm]) for arm in (treated, control)]
        assert found["average_effect"].value == pytest.approx(means[0] - means[1])
        seen = replace(bundle.manifest, trained_to=states.as_of_period)
        bundle_of_now = Bundle(
            seen,
            bundle.catalogue,
            bundle.layout,
            bundle.models,
            bundle.calibrations,
            bundle.fallback,
            uplift=bundle.uplift,
        )
        assert uplift_of_bundle(bundle_of_now, states, QUICK) == {}


def test_training_says_why_it_learned_no_effects(states):
    fit = fit_uplift(trials_of(states, horizon=1), UpliftConfig())
    assert fit.learner is None
    assert "not learned" in fit.sentence()
    assert f"{fit.counts.contacts:,} contacts" in fit.sentence()
    assert "at least 1,000 and 50 are needed" in fit.sentence()
