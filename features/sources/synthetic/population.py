"""Who the customers of a block are: what stays with them for life, and what the bank fails to write down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bank import CORPORATE, RETAIL, BlockPlan, SyntheticBank, first_day, last_day

YEAR = 365.25

STAGES = ("student", "starter", "young_family", "established", "empty_nest", "retired")
OCCUPATIONS = ("worker", "professional", "civil_servant", "business_owner", "farmer", "homemaker", "student", "retired")
EMPLOYED = tuple(OCCUPATIONS.index(name) for name in ("worker", "professional", "civil_servant"))
INDUSTRIES = ("manufacturing", "trade", "construction", "technology", "services", "agriculture")
PREFERENCES = ("mobile", "web", "counter", "call")
REGIONS = (
    "Beijing",
    "Shanghai",
    "Guangdong",
    "Zhejiang",
    "Jiangsu",
    "Sichuan",
    "Hubei",
    "Henan",
    "Shaanxi",
    "Liaoning",
)
COASTAL_REGIONS = 5  # the first five

_MONTHLY_INCOME = np.array([5_500, 11_000, 8_500, 14_000, 3_500, 3_000, 1_300, 4_200])
_WORKING_SHARES = np.array([0.38, 0.20, 0.14, 0.12, 0.08, 0.08])
_INDUSTRY_SHARES = np.array([0.27, 0.27, 0.13, 0.10, 0.17, 0.06])
_CUSTOMERS_A_BRANCH = {RETAIL: 1_000, CORPORATE: 100}
_RMS_A_BRANCH = {RETAIL: 2, CORPORATE: 3}


@dataclass(frozen=True)
class Missing:
    """What the bank's own records lack, each bool (n,)."""

    income: NDArray[np.bool_]
    trade: NDArray[np.bool_]
    risk: NDArray[np.bool_]
    stage: NDArray[np.bool_]
    born: NDArray[np.bool_]


@dataclass(frozen=True)
class Population:
    """The customers of a block, n of them; arrays have shape (n,) unless said otherwise.

    Attributes
    ----------
    plan : the block
    customer_ids : ascending
    born : day of birth or founding, days from 1970-01-01
    onboarded : first day as a customer; some join within the published months
    branch, branch_ids, regions : position of the customer's branch; its id; each branch's position in REGIONS
    rm : number of the RM in whose book the customer is, or would be once in a higher tier
    female : retail only
    trade : position in OCCUPATIONS or INDUSTRIES
    preference : position in PREFERENCES
    income : yuan; a month's income, or a year's turnover
    size : log10 of a company's employees; 0 for retail
    means : log10 of the sum in yuan that the customer typically puts into one thing
    digital : 0 to 1, how readily the customer uses screens
    daring : appetite for risk, standardised
    family_age : age at which children come, infinite where none do
    taste : shape (n, L), standard normal
    response : position in appetite.RESPONSES
    parent : position of the parent company, -1 where there is none
    missing : what is not on record
    """

    plan: BlockPlan
    customer_ids: NDArray[np.str_]
    born: NDArray[np.int32]
    onboarded: NDArray[np.int32]
    branch: NDArray[np.int32]
    branch_ids: tuple[str, ...]
    regions: NDArray[np.int32]
    rm: NDArray[np.int32]
    female: NDArray[np.bool_]
    trade: NDArray[np.int8]
    preference: NDArray[np.int8]
    income: NDArray[np.float32]
    size: NDArray[np.float32]
    means: NDArray[np.float32]
    digital: NDArray[np.float32]
    daring: NDArray[np.float32]
    family_age: NDArray[np.float32]
    taste: NDArray[np.float32]
    response: NDArray[np.int8]
    parent: NDArray[np.int32]
    missing: Missing

    def __len__(self) -> int:
        return len(self.customer_ids)

    @property
    def is_retail(self) -> bool:
        """Of retail customers, not companies."""
        return self.plan.kind == RETAIL

    def age_on(self, day: int | NDArray[np.int32]) -> NDArray[np.float32]:
        """Years since birth or founding on `day`, one for all or one each."""
        return ((day - self.born) / YEAR).astype(np.float32)

    def stage_on(self, day: int | NDArray[np.int32]) -> NDArray[np.int8]:
        """Position in STAGES of each retail customer."""
        age = self.age_on(day)
        conditions = [age < 22, age >= 60, age >= 51, age >= self.family_age + 13, age >= self.family_age]
        return np.select(conditions, [0, 5, 4, 3, 2], default=np.where(age >= 42, 3, 1)).astype(np.int8)

    def rm_id(self, position: int) -> str:
        """The name of the RM whose book the customer at `position` is in."""
        return f"RM-{self.branch_ids[self.branch[position]]}-{self.rm[position] + 1}"


def populate(bank: SyntheticBank, plan: BlockPlan, n_tastes: int, rng: np.random.Generator) -> Population:
    """Draw the customers of a block, with `n_tastes` directions of personal taste."""
    n = plan.size
    first, last = first_day(bank.first_period), last_day(bank.last_period)
    n_branches = max(1, n // _CUSTOMERS_A_BRANCH[plan.kind])
    branch = rng.integers(0, n_branches, n)
    letter = "B" if plan.kind == RETAIL else "K"
    regions = rng.integers(0, len(REGIONS), n_branches)
    coastal = regions[branch] < COASTAL_REGIONS
    common = {
        "plan": plan,
        "customer_ids": plan.customer_ids,
        "branch": branch.astype(np.int32),
        "branch_ids": tuple(f"{letter}{plan.index:03d}{number:03d}" for number in range(n_branches)),
        "regions": regions.astype(np.int32),
        "rm": rng.integers(0, _RMS_A_BRANCH[plan.kind], n).astype(np.int32),
        "taste": rng.standard_normal((n, n_tastes), dtype=np.float32),
    }
    joined = _joining_days(rng, n, first, last)
    if plan.kind == RETAIL:
        return _persons(rng, common, joined, coastal, last)
    return _companies(rng, common, joined, coastal, last)


def _persons(
    rng: np.random.Generator, common: dict, joined: NDArray[np.int64], coastal: NDArray[np.bool_], last: int
) -> Population:
    n = len(joined)
    group = rng.random(n)[:, None] > np.array([0.27, 0.68])
    age = rng.normal(np.array([27, 41, 58])[group.sum(1)], np.array([4, 7, 10])[group.sum(1)]).clip(18.2, 92)
    born = (last - age * YEAR).astype(np.int32)
    trade = rng.choice(6, n, p=_WORKING_SHARES)
    trade = np.where(age < 21 + 3 * rng.random(n), 6, np.where(age > 57 + 6 * rng.random(n), 7, trade))
    income = _MONTHLY_INCOME[trade] * np.where(coastal, 1.25, 1.0) * np.exp(0.42 * rng.standard_normal(n))
    rich = (rng.random(n) < 0.05) * rng.exponential(0.55, n)
    means = 4.15 + 0.9 * np.log10(income / 6_000) + 0.014 * (age.clip(22, 65) - 35) + rng.normal(0, 0.36, n) + rich
    digital = (0.85 - 0.011 * (age - 25) + rng.normal(0, 0.16, n)).clip(0.02, 1)
    leaning = digital + rng.normal(0, 0.12, n)
    preference = np.select([leaning > 0.58, leaning > 0.46, rng.random(n) < 0.75], [0, 1, 2], default=3)
    enterprising = np.isin(trade, [1, 3])
    daring = rng.normal(0, 0.8, n) - 0.02 * (age - 43) + 0.35 * enterprising + 0.3 * (means - 4.2)
    response = _responses(
        rng,
        (
            0.2 + 0.9 * (preference >= 2) + 0.7 * (age > 45),
            0.2 + 1.1 * (digital > 0.62),
            0.5 + 0.6 * (age > 65) - 0.4 * enterprising,
            -0.7 + 0.9 * (digital > 0.8) + 0.5 * enterprising,
        ),
    )
    family_age = np.where(rng.random(n) < 0.83, rng.normal(28.5, 3, n), np.inf)
    return Population(
        born=born,
        onboarded=np.maximum(joined, born + int(16 * YEAR) + 1).astype(np.int32),
        female=rng.random(n) < 0.49,
        trade=trade.astype(np.int8),
        preference=preference.astype(np.int8),
        income=income.astype(np.float32),
        size=np.zeros(n, dtype=np.float32),
        means=means.astype(np.float32),
        digital=digital.astype(np.float32),
        daring=daring.astype(np.float32),
        family_age=family_age.astype(np.float32),
        response=response,
        parent=np.full(n, -1, dtype=np.int32),
        missing=_missing(rng, n, income=0.22, trade=0.09, risk=0.04, stage=0.12, born=0.005),
        **common,
    )


def _companies(
    rng: np.random.Generator, common: dict, joined: NDArray[np.int64], coastal: NDArray[np.bool_], last: int
) -> Population:
    n = len(joined)
    born = np.minimum(last - rng.gamma(1.8, 6.5, n) * YEAR, joined - 20).astype(np.int32)
    age = (last - born) / YEAR
    size = (rng.normal(1.5, 0.55, n) + 0.012 * age.clip(0, 40)).clip(0.3, 4.3)
    turnover = 10 ** (5.6 + 0.95 * size + rng.normal(0, 0.25, n))
    trade = rng.choice(6, n, p=_INDUSTRY_SHARES)
    digital = (0.55 + 0.25 * (trade == 3) - 0.008 * age.clip(0, 40) + rng.normal(0, 0.15, n)).clip(0.02, 1)
    response = _responses(
        rng,
        (0.5 + 0.6 * (size < 1.6), 0.2 + 0.6 * (digital > 0.6), 0.4 + 0.4 * (trade == 5), -0.7 + 0.5 * (size > 2.3)),
    )
    parent = np.where(rng.random(n) < 0.1, np.floor(rng.random(n) * np.arange(n)), -1)
    return Population(
        born=born,
        onboarded=joined.astype(np.int32),
        female=np.zeros(n, dtype=np.bool_),
        trade=trade.astype(np.int8),
        preference=np.where(digital > 0.5, 1, 2).astype(np.int8),
        income=turnover.astype(np.float32),
        size=size.astype(np.float32),
        means=(np.log10(turnover) - 1.2 + rng.normal(0, 0.2, n)).astype(np.float32),
        digital=digital.astype(np.float32),
        daring=rng.standard_normal(n, dtype=np.float32),
        family_age=np.full(n, np.inf, dtype=np.float32),
        response=response,
        parent=np.where(np.arange(n) > 0, parent, -1).astype(np.int32),
        missing=_missing(rng, n, income=0.15, trade=0.04, risk=0.04, stage=0.0, born=0.01),
        **common,
    )


def _joining_days(rng: np.random.Generator, n: int, first: int, last: int) -> NDArray[np.int64]:
    months = (last - first) / 30.4
    recent = rng.random(n) < min(0.3, 0.004 * months)
    within = first + np.floor(rng.random(n) * (last - first + 1))
    # exponential with a mean of seven years, cut off at 25
    before = first - 1 + 7 * YEAR * np.log(1 - rng.random(n) * (1 - np.exp(-25 / 7)))
    return np.where(recent, within, before).astype(np.int64)


def _responses(rng: np.random.Generator, scores: tuple[NDArray | float, ...]) -> NDArray[np.int8]:
    noisy = [score + 0.7 * rng.gumbel(size=np.shape(scores[0])) for score in scores]
    return np.argmax(noisy, axis=0).astype(np.int8)


def _missing(rng: np.random.Generator, n: int, **rates: float) -> Missing:
    return Missing(**{name: rng.random(n) < rate for name, rate in rates.items()})
