"""The synthetic bank's acquisition hazard, one customer and one product at a time, straight from the coefficients."""

import math

from features.contracts import RISK_RATINGS
from features.sources.synthetic import corporate_coefficients, retail_coefficients
from features.sources.synthetic.appetite import TASTE_SIZE
from features.sources.synthetic.bank import CALENDAR


def log_odds(simulation, columns, customer, wanted, period):
    """Log-odds of acquiring the product id `wanted` in the month after `period`, given the drivers' `columns`."""
    state, population, catalogue = simulation.state, simulation.population, simulation.catalogue
    source = retail_coefficients if population.is_retail else corporate_coefficients
    column = catalogue.position(wanted)
    total = source.BASES[wanted]
    total += source.SEASONS.get(wanted, {}).get(CALENDAR.start_of(period + 1).month, 0.0)
    for name, weight in source.DRIVERS[wanted].items():
        total += weight * float(columns[name][customer])
    for (owned, other), weight in source.PAIRS.held.items():
        if other == wanted and state.held[customer, catalogue.position(owned)]:
            total += weight
    for pairs, since in ((source.PAIRS.opened, state.since_opened), (source.PAIRS.closed, state.since_closed)):
        for (owned, other), weight in pairs.items():
            months = int(since[customer, catalogue.position(owned)])
            if other == wanted and months < 3:
                total += weight * (1.0, 0.7, 0.4)[months]
    for direction, group in enumerate(source.TASTES.values()):
        if wanted in group:
            total += TASTE_SIZE * float(population.taste[customer, direction])
    product = catalogue.products[column]
    ratings = [rating for rating in (product.risk_rating, product.issuer_risk_rating) if rating]
    if ratings:
        rating, level = 1 + max(map(RISK_RATINGS.index, ratings)), int(state.risk[customer])
        total -= 1.2 * max(rating - level, 0) if level else 0.6 * (rating - 1)
    if state.since_complaint[customer] < 3:
        total -= 0.9
    return total + float(state.leaning[customer, column])


def probability(log_odds):
    """The logistic function, held below 65%."""
    return 1 / (1 + math.exp(-min(log_odds, 0.6)))
