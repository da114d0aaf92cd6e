from itertools import pairwise

import numpy as np
import pytest

from features.errors import NotFound, NotReady
from features.sources.synthetic import Truth
from tests.features.sources.synthetic.panel import average_precision_at


@pytest.fixture(scope="module")
def months(panel, truth):
    """(as-of period, probability, acquired) of every month that was lived through."""
    return [(period, truth.probability(period), panel.acquired(period)) for period in truth.periods[:-1]]


def test_rows_and_columns_are_the_customers_and_products_of_the_tables(panel, truth, bank):
    assert list(truth.customer_ids) == list(panel.customer_ids)
    assert list(truth.product_ids) == list(panel.product_ids)
    assert truth.periods == range(bank.first_period, bank.last_period + 1)
    shape = (bank.retail + bank.corporate, 46)
    for values in (truth.probability(truth.periods[0]), truth.effect(truth.periods[-1])):
        assert values.shape == shape
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


def test_only_candidates_can_be_acquired(panel, months):
    for period, probability, acquired in months:
        assert (probability[~panel.candidates(period)] == 0).all()
        assert (probability[acquired] > 0).all()
        assert probability.max() < 1


def test_totals_of_the_uncontacted_are_as_published(panel, months):
    z_scores = []
    for period, probability, acquired in months:
        alone = ~panel.contacted(period + 1)
        z_scores.append(_z_score(probability[alone], acquired[alone]))
    assert np.abs(z_scores).max() < 4
    assert abs(np.sum(z_scores)) / np.sqrt(len(z_scores)) < 4


def test_totals_of_every_product_are_as_published(panel, months, truth):
    expected, variance, seen = np.zeros((3, len(truth.product_ids)))
    for period, probability, acquired in months:
        alone = ~panel.contacted(period + 1)
        expected += (probability * alone).sum(axis=0)
        variance += (probability * (1 - probability) * alone).sum(axis=0)
        seen += (acquired & alone).sum(axis=0)
    assert (np.abs(seen - expected) < 4 * np.sqrt(variance) + 1).all()


def test_low_and_high_probabilities_are_as_published(panel, months):
    edges = np.array([1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1])
    pairs = [(probability[alone], acquired[alone]) for alone, probability, acquired in _alone(panel, months)]
    probability, acquired = (np.concatenate(column) for column in zip(*pairs, strict=True))
    for low, high in pairwise(edges):
        within = (probability > low) & (probability <= high)
        assert abs(_z_score(probability[within], acquired[within])) < 4, (low, high)


def test_those_contacted_acquire_what_probability_and_effect_add_up_to(panel, months, truth):
    chances, seen = [], []
    for period, probability, acquired in months:
        contacted = panel.contacted(period + 1)
        chances.append((probability + truth.effect(period))[contacted])
        seen.append(acquired[contacted])
    assert abs(_z_score(np.concatenate(chances), np.concatenate(seen))) < 4


def test_control_arms_recover_the_effect(panel, months, truth):
    """Inverse-propensity estimate of the mean effect; a row's second moment is p1 / share + p0 / (1 - share)."""
    estimates, effects, variances = [], [], []
    for period, probability, acquired in months:
        contacts = panel.contacts_of(period + 1)
        contacts = contacts[contacts.campaign_id.notna()]
        at = panel.rows(contacts)
        treated = (contacts.arm == "treated").to_numpy()
        drawn = contacts.propensity_of_arm.to_numpy()
        share = np.where(treated, drawn, 1 - drawn)
        effect = truth.effect(period)[at]
        estimates.append(np.where(treated, 1, -1) * acquired[at] / drawn)
        effects.append(effect)
        variances.append((probability[at] + effect) / share + probability[at] / (1 - share) - effect**2)
    estimates, effects, variances = (np.concatenate(column) for column in (estimates, effects, variances))
    n = len(estimates)
    assert abs(estimates.mean() - effects.mean()) < 4 * np.sqrt(variances.sum()) / n
    assert effects.mean() > 2 * np.sqrt(variances.sum()) / n, "an effect too small to be found in the control arms"


def test_some_are_persuaded_and_some_are_put_off(truth):
    probability, effect = truth.probability(truth.periods[-1]), truth.effect(truth.periods[-1])
    possible = probability > 0
    assert (effect[~possible] == 0).all()
    ratio = (probability + effect)[possible] / probability[possible]
    assert (ratio > 2).mean() > 0.1
    assert (ratio < 1).mean() > 0.03
    assert (np.abs(ratio - 1) < 0.1).mean() > 0.03


def test_rms_contact_those_who_would_have_bought_anyway(panel, months):
    by_rm, by_campaign = [], []
    for period, probability, _ in months:
        contacts = panel.contacts_of(period + 1)
        own = contacts.campaign_id.isna()
        by_rm.append(probability[panel.rows(contacts[own])])
        by_campaign.append(probability[panel.rows(contacts[~own])])
    assert np.concatenate(by_rm).mean() > 1.5 * np.concatenate(by_campaign).mean()


def test_the_truth_ranks_far_better_than_popularity(panel, months):
    popularity = sum(acquired.sum(axis=0) for _, _, acquired in months).astype(float)
    by_truth, by_popularity = [], []
    for period, probability, acquired in months:
        acquirers = acquired.any(axis=1)
        candidates = panel.candidates(period)[acquirers]
        for scores, results in (
            (probability[acquirers], by_truth),
            (np.broadcast_to(popularity, candidates.shape), by_popularity),
        ):
            results.append(average_precision_at(7, np.where(candidates, scores, -1), acquired[acquirers]))
    assert np.concatenate(by_popularity).mean() < 0.75 * np.concatenate(by_truth).mean()


def test_rates_are_those_of_a_bank(panel, months):
    for kind, low, high in ((True, 0.025, 0.05), (False, 0.04, 0.075)):
        shares = [
            acquired[panel.is_retail == kind].any(axis=1).sum()
            / panel.candidates(period)[panel.is_retail == kind].any(axis=1).sum()
            for period, _, acquired in months
        ]
        assert low < np.mean(shares) < high


def test_every_product_is_acquired_by_someone(months, truth):
    acquired = sum(acquired.sum(axis=0) for _, _, acquired in months)
    assert [product_id for product_id, n in zip(truth.product_ids, acquired, strict=True) if n == 0] == []


def test_a_date_without_truth_is_named(truth):
    with pytest.raises(NotFound, match=str(truth.periods.stop)):
        truth.probability(truth.periods.stop)
    with pytest.raises(NotFound, match="published"):
        truth.effect(truth.periods.start - 1)


def test_a_folder_without_truth_is_named(tmp_path):
    with pytest.raises(NotReady, match="generate"):
        Truth.open(tmp_path)


def _alone(panel, months):
    for period, probability, acquired in months:
        yield ~panel.contacted(period + 1), probability, acquired


def _z_score(probability, acquired):
    """Distance of the number of acquisitions from its Poisson-binomial mean, in standard deviations."""
    probability = probability.astype(np.float64)
    return (acquired.sum() - probability.sum()) / np.sqrt((probability * (1 - probability)).sum())
