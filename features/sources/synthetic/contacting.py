"""Whom the bank contacts about what, on what terms, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .appetite import RESPONSES
from .bank import RETAIL, SyntheticBank, first_day, last_day
from .catalogue import Catalogue, Money
from .population import PREFERENCES, Population
from .state import State

CONTACT_CHANNELS = ("rm", "phone", "sms", "app")
OUTCOMES = ("accepted", "declined", "later", "no_answer")
NO_OUTCOME = -1
NO_CAMPAIGN = -1
NO_DAY = np.iinfo(np.int32).max

_CAMPAIGNS_A_MONTH = {RETAIL: 3, "corporate": 2}
_LAST_CONTACT_DAY = 20  # leaves the rest of the month for an answer


@dataclass(frozen=True)
class Consents:
    """Since when customers refuse, shape (n,), days from 1970-01-01; NO_DAY: they do not.

    Attributes
    ----------
    marketing : being contacted at all
    phone : being telephoned
    personalisation : offers chosen for them
    """

    marketing: NDArray[np.int32]
    phone: NDArray[np.int32]
    personalisation: NDArray[np.int32]


def ask_consent(population: Population, last: int, rng: np.random.Generator) -> Consents:
    """Draw who refuses what, from the first day on or later."""
    n = len(population)
    averse = population.response == RESPONSES.index("averse")

    def refusals(at_once: NDArray | float, later: float) -> NDArray[np.int32]:
        chance = rng.random(n)
        day = population.onboarded + 1 + np.floor(rng.random(n) * np.maximum(last - population.onboarded, 0))
        day = np.where(chance < at_once, population.onboarded, np.where(chance < at_once + later, day, NO_DAY))
        return np.where(day <= last, day, NO_DAY).astype(np.int32)

    return Consents(refusals(0.06 + 0.14 * averse, 0.04), refusals(0.03, 0.02), refusals(0.03 + 0.04 * averse, 0.02))


@dataclass(frozen=True)
class Campaign:
    """One product offered to part of the customers of a kind in one month.

    Attributes
    ----------
    number : position among the month's campaigns of the kind
    product : column of the product
    channel : position in CONTACT_CHANNELS
    share : of the block's customers on the list
    control : probability of the control arm
    """

    number: int
    product: int
    channel: int
    share: float
    control: float


def campaigns_of(bank: SyntheticBank, kind: str, catalogue: Catalogue, period: int) -> list[Campaign]:
    """The campaigns of the month `period`, the same for every block."""
    rng = bank.random_of_month(period)
    if kind != RETAIL:
        rng = rng.spawn(1)[0]
    demand = catalogue.positions_of(Money.DEMAND)
    offered = np.setdiff1d(np.flatnonzero(catalogue.on_sale(period - 1)), demand)
    products = rng.choice(offered, _CAMPAIGNS_A_MONTH[kind], replace=False)
    return [
        Campaign(number, int(product), int(rng.integers(1, 4)), rng.uniform(0.03, 0.06), rng.choice([0.2, 0.3, 0.5]))
        for number, product in enumerate(products)
    ]


@dataclass
class Contacts:
    """The contacts of one month, m of them, at most one a customer; arrays have shape (m,).

    Attributes
    ----------
    customer, product : positions
    day : of the contact, or of the drawing of arms for those held out
    campaign : its number, or NO_CAMPAIGN for an RM's own contact
    channel : position in CONTACT_CHANNELS
    treated : contacted, not held out
    propensity : probability of the arm that was drawn; NaN for an RM's own contact
    outcome : position in OUTCOMES, or NO_OUTCOME
    outcome_day : day of the outcome, 0 without one
    """

    customer: NDArray[np.int64]
    product: NDArray[np.int64]
    day: NDArray[np.int64]
    campaign: NDArray[np.int64]
    channel: NDArray[np.int64]
    treated: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    outcome: NDArray[np.int8]
    outcome_day: NDArray[np.int64]


def choose_contacts(
    population: Population,
    catalogue: Catalogue,
    state: State,
    consents: Consents,
    campaigns: list[Campaign],
    probability: NDArray[np.float32],
    period: int,
    rng: np.random.Generator,
) -> Contacts:
    """Draw the contacts of the month `period`: campaigns with randomised arms first, then what RMs do on their own.

    Lists are drawn from the customers for whom the product is possible (`probability` (n, P) above 0), who are likelier
    than others to want it, and a quarter at random. RMs pick customers with money and what they may well want anyway,
    so their contacts are not an experiment.
    """
    n = len(population)
    first, last = first_day(period), last_day(period)
    free = state.member & (consents.marketing > last)
    chosen: list[tuple[NDArray, ...]] = []
    for campaign in campaigns:
        likely = probability[:, campaign.product]
        able = free & (likely > 0)
        if CONTACT_CHANNELS[campaign.channel] == "phone":
            able &= consents.phone > last
        customers = _list_of(likely, able, round(campaign.share * n), rng)
        free[customers] = False
        treated = rng.random(len(customers)) >= campaign.control
        propensity = np.where(treated, 1 - campaign.control, campaign.control)
        chosen.append(_rows(customers, campaign.product, campaign.number, campaign.channel, treated, propensity))
    customers, products = _rm_choices(population, state, free, probability, rng)
    treated = np.ones(len(customers), dtype=np.bool_)
    chosen.append(_rows(customers, products, NO_CAMPAIGN, 0, treated, np.full(len(customers), np.nan)))
    customer, product, campaign_number, channel, arm, propensity = (
        np.concatenate(column) for column in zip(*chosen, strict=True)
    )
    m = len(customer)
    day = first + rng.integers(0, _LAST_CONTACT_DAY, m)
    return Contacts(
        customer, product, day, campaign_number, channel, arm, propensity,
        np.full(m, NO_OUTCOME, dtype=np.int8), np.zeros(m, dtype=np.int64),
    )  # fmt: skip


def answer(
    contacts: Contacts,
    population: Population,
    state: State,
    acquired_on: NDArray[np.int32],
    period: int,
    rng: np.random.Generator,
) -> None:
    """Note what the contacted answered, and what it leaves behind in `state`.

    acquired_on : int32 (n, P), day on which each pair was acquired this month, 0 where it was not
    """
    bought_on = acquired_on[contacts.customer, contacts.product].astype(np.int64)
    unmoved = population.response[contacts.customer] >= RESPONSES.index("indifferent")
    chance = rng.random(len(contacts.customer)) - 0.12 * unmoved
    said = np.select([chance < 0.42, chance < 0.58], [OUTCOMES.index("declined"), OUTCOMES.index("later")], default=3)
    said_on = np.minimum(contacts.day + rng.integers(0, 6, len(chance)), last_day(period))
    contacts.outcome = np.where(contacts.treated, np.where(bought_on > 0, 0, said), NO_OUTCOME).astype(np.int8)
    contacts.outcome_day = np.where(contacts.treated, np.where(bought_on > 0, bought_on, said_on), 0)
    left = np.select([contacts.outcome == 1, contacts.outcome == 2], [-0.8, 1.0], default=0.0).astype(np.float32)
    state.leaning[contacts.customer, contacts.product] += left
    state.fatigue[contacts.customer] += contacts.treated


def _list_of(likely: NDArray, able: NDArray[np.bool_], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    pool = np.flatnonzero(able)
    size = min(size, len(pool))
    score = np.log(likely[pool]) + 1.2 * rng.gumbel(size=len(pool))
    score[rng.random(len(pool)) < 0.25 * size / max(len(pool), 1)] = np.inf
    return np.sort(pool[np.argsort(-score, kind="stable")[:size]])


def _rm_choices(
    population: Population,
    state: State,
    free: NDArray[np.bool_],
    probability: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    in_book = free & ((state.tier > 0) | (not population.is_retail))
    fond = population.preference == PREFERENCES.index("counter")
    chance = 0.06 + 0.05 * fond + 0.06 * (state.shock > 0.3)
    customers = np.flatnonzero(in_book & (rng.random(len(population)) < chance) & (probability.max(axis=1) > 0))
    wanted = np.log(np.maximum(probability[customers], 1e-30))
    wanted += np.where(probability[customers] > 0, 1.3 * rng.gumbel(size=wanted.shape), 0)
    return customers, np.argmax(wanted, axis=1) if len(customers) else np.zeros(0, dtype=np.int64)


def _rows(
    customers: NDArray, product: NDArray | int, campaign: int, channel: int, treated: NDArray, propensity: NDArray
) -> tuple[NDArray, ...]:
    m = len(customers)
    return (
        customers,
        np.broadcast_to(product, m).astype(np.int64),
        np.full(m, campaign),
        np.full(m, channel),
        treated,
        propensity,
    )
