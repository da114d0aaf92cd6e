import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.sources.synthetic import SyntheticBank
from features.sources.synthetic.bank import last_day
from features.sources.synthetic.drivers import drivers_of
from features.sources.synthetic.hazard import acquisition_probability, contacted_probability, may_acquire
from features.sources.synthetic.life import BlockSimulation
from tests.oracles import synthetic_hazard as oracle


@pytest.fixture(scope="module", params=["corporate", "retail"])
def simulation(request):
    sizes = {"retail": 0, "corporate": 0} | {request.param: 150}
    bank = SyntheticBank(**sizes, periods=6, seed=5)
    simulation = BlockSimulation(bank, bank.blocks[0])
    simulation.run(record=lambda month: None, publish=lambda period: None)
    return simulation


def probability_of(simulation):
    return acquisition_probability(
        simulation.population,
        simulation.catalogue,
        simulation.appetite,
        simulation.state,
        simulation.network,
        simulation.bank.last_period,
    )


def test_the_hazard_is_that_of_the_tables_of_coefficients(simulation):
    period = simulation.bank.last_period
    population, catalogue, state = simulation.population, simulation.catalogue, simulation.state
    columns = drivers_of(population, catalogue, state, simulation.network, last_day(period))
    allowed = may_acquire(population, catalogue, state, period)
    got = probability_of(simulation)
    assert (got[~allowed] == 0).all()
    customers, products = np.nonzero(allowed)
    assert len(customers) > 500
    for customer, column in list(zip(customers.tolist(), products.tolist(), strict=True))[::3]:
        log_odds = oracle.log_odds(simulation, columns, customer, catalogue.product_ids[column], period)
        # half precision keeps eleven bits, and steps of 2^-24 below them
        assert got[customer, column] == pytest.approx(oracle.probability(log_odds), rel=2**-10, abs=2**-24)


def test_what_is_published_is_what_is_drawn_from(simulation):
    assert (simulation.probability == simulation.probability.astype(np.float16)).all()
    assert (simulation.probability == probability_of(simulation)).all()
    assert (simulation.wear == simulation.wear.astype(np.float16)).all()


def test_nobody_may_acquire_against_a_products_conditions(simulation):
    state, catalogue = simulation.state, simulation.catalogue
    allowed = may_acquire(simulation.population, catalogue, state, simulation.bank.last_period)
    assert not (allowed & state.held).any()
    assert not allowed[~state.member].any()
    age = simulation.population.age_on(last_day(simulation.bank.last_period))
    for column, product in enumerate(catalogue.products):
        able = allowed[:, column]
        assert (age[able] >= (product.min_age or 0)).all()
        assert (age[able] <= (product.max_age or math.inf)).all()
        for needed in product.requires:
            assert state.held[able, catalogue.position(needed)].all()
        for excluded in product.excludes:
            assert not state.held[able, catalogue.position(excluded)].any()


def test_what_counterparties_use_spreads():
    bank = SyntheticBank(retail=0, corporate=120, periods=3, seed=8)
    simulation = BlockSimulation(bank, bank.blocks[0])
    column = simulation.catalogue.position("corp_supply_chain_finance")
    simulation.state.held[:, column] = False
    without = probability_of(simulation)[:, column]
    pioneer = int(np.argmax(simulation.network.n_partners))
    simulation.state.held[pioneer, column] = True
    with_it = probability_of(simulation)[:, column]
    partners = simulation.network.neighbours[:, [pioneer]].toarray()[:, 0] > 0.02
    partners &= without > 0
    assert partners.sum() > 1
    assert (with_it[partners] > without[partners]).all()
    strangers = simulation.network.neighbours[:, [pioneer]].toarray()[:, 0] == 0
    strangers[pioneer] = False
    assert (with_it[strangers] == without[strangers]).all()


@given(st.floats(1e-6, 0.65), st.floats(-4, 4))
def test_a_contact_adds_to_the_log_odds(probability, shift):
    got = contacted_probability(np.float32([probability]), np.float32([shift]))[0]
    expected = 1 / (1 + math.exp(-(math.log(probability / (1 - probability)) + shift)))
    assert got == pytest.approx(expected, rel=1e-5)


@given(st.floats(-4, 4))
def test_a_contact_cannot_do_the_impossible(shift):
    assert contacted_probability(np.float32([0]), np.float32([shift]))[0] == 0
