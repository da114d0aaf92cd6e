"""Who is offered what: rates of being offered a product by group, and how offers go with age, income and the like.

Only those count who could have been offered the product: whom a rule keeps from it (held already, too young, not
suitable, asked to be left alone) is the rule's business, whom the ranking keeps from it is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy.special import ndtri

from features import CustomerBlock, CustomerStates
from features.catalogue import Product
from features.checks import Status
from features.states.profile import MISSING_DAY, Profile
from training.evaluation import BootstrapInterval
from training.evaluation.intervals import CONFIDENCE, BootstrapEstimate

from ..decisions import CompiledPolicy, Decisions
from ..decisions.policy.sections import Fairness
from ..decisions.reason_codes import BEFORE_ARBITRATION
from .scenarios import Scenario, decided

LEAST_CUSTOMERS = 30
"""Of a group, who could have been offered a product, for its rate to be compared."""

BINS = 64
"""Into which customers fall by a number, about equally many in each. Inequality within a bin is not seen: about
1 / `BINS` squared of the whole."""

AGE = "age"
OLDEST = 150

_SAMPLE = 262_144  # customers from whose numbers the bins are laid out
_CHUNK_CELLS = 1_000_000  # random numbers in memory at a time

Measure = Literal["rate_ratio", "gini"]


@dataclass(frozen=True)
class GroupRate:
    """A group's rate of being offered a product, of the `customers` who could have been."""

    group: str
    rate: float
    customers: int


@dataclass(frozen=True)
class Finding:
    """One product judged by one attribute.

    Attributes
    ----------
    interval : 95%, of the ratio of the lowest group's rate to the highest's, or of the Gini coefficient
    limit : least ratio, or most of the coefficient, above or below 0
    verdict : WARN: beyond the limit; FAIL: so is the whole interval
    lowest, highest : the groups of a ratio; None of a coefficient
    customers : who could have been offered it, and whose attribute is known
    """

    attribute: str
    product_id: str
    family: str
    measure: Measure
    interval: BootstrapInterval
    limit: float
    verdict: Status
    lowest: GroupRate | None
    highest: GroupRate | None
    customers: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        content = {name: value for name, value in vars(self).items() if name != "interval"}
        for name in ("lowest", "highest"):
            content[name] = None if content[name] is None else vars(content[name])
        ends = {name: None if math.isnan(end) else end for name, end in vars(self.interval).items()}
        return {**content, "verdict": self.verdict.value, **ends}


@dataclass(frozen=True)
class FairnessReport:
    """What is to be said of who is offered what.

    Attributes
    ----------
    findings : by attribute in the policy's order, then by product
    not_judged : attributes of which the bank knows nothing
    customers : decided on
    """

    policy: str
    findings: tuple[Finding, ...]
    not_judged: tuple[str, ...]
    customers: int

    @property
    def verdict(self) -> Status:
        """The worst of all findings."""
        found = {finding.verdict for finding in self.findings}
        return next(status for status in (Status.FAIL, Status.WARN, Status.PASS) if status in found | {Status.PASS})

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "policy": self.policy,
            "verdict": self.verdict.value,
            "customers": self.customers,
            "not_judged": list(self.not_judged),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def judge_fairness(
    scenario: Scenario, *, limit: int, seed: int = 0, progress: Progress | None = None
) -> FairnessReport:
    """Decide on everybody, and judge who is offered what by the attributes that the policy names."""
    counts = FairnessCounts(scenario.policy)
    for _, block, decisions in decided([scenario], limit=limit, progress=progress):
        counts.add(block, decisions)
    return counts.report(seed=seed)


class FairnessCounts:
    """By attribute, group and product: who could have been offered it, and who was; counted block by block.

    Texts are groups of their own, numbers and dates fall into bins, ages into years. Who lacks the attribute is not
    counted.
    """

    def __init__(self, policy: CompiledPolicy) -> None:
        self.policy = policy
        self.customers = 0
        n_products = len(policy.states.catalogue)
        self._attributes: list[_Attribute] = []
        self.not_judged: list[str] = []
        for name in dict.fromkeys(policy.policy.fairness.attributes):
            found = _attribute(name, policy.states, policy.period)
            if found is None:
                self.not_judged.append(name)
            else:
                self._attributes.append(found)
        self._could = [np.zeros((found.n_groups, n_products), dtype=np.int64) for found in self._attributes]
        self._offered = [np.zeros_like(counts) for counts in self._could]

    def add(self, block: CustomerBlock, decisions: Decisions) -> None:
        """Count the customers of `block`."""
        n, n_products = decisions.excluded.shape
        self.customers += n
        could_rows, could_products = np.nonzero((decisions.excluded & BEFORE_ARBITRATION) == 0)
        rows, places = np.nonzero(decisions.products >= 0)
        products = decisions.products[rows, places].astype(np.int64)
        for attribute, could, offered in zip(self._attributes, self._could, self._offered, strict=True):
            groups = attribute.groups_of(block, decisions)
            could += _counted(groups[could_rows], could_products, attribute.n_groups, n_products)
            offered += _counted(groups[rows], products, attribute.n_groups, n_products)

    def report(self, *, seed: int = 0, resamples: int = 1000) -> FairnessReport:
        """Judge what was counted, by the limits of the policy.

        A product that too few groups could have been offered, or that nobody was, is not judged.
        """
        fairness, findings = self.policy.policy.fairness, list[Finding]()
        for number, attribute in enumerate(self._attributes):
            for position, product in enumerate(self.policy.states.catalogue.products):
                could, offered = self._could[number][:, position], self._offered[number][:, position]
                if attribute.texts:
                    findings += _judged_ratio(attribute, product, could, offered, fairness)
                else:
                    rng = np.random.default_rng([seed, number, position])
                    findings += _judged_gini(attribute, product, could, offered, fairness, rng, resamples)
        return FairnessReport(self.policy.policy.name, tuple(findings), tuple(self.not_judged), self.customers)


def rate_ratio(offered: Sequence[int], could: Sequence[int], *, pairs: int = 1) -> BootstrapInterval:
    """The ratio of a lower rate to a higher one, ``(x1 / n1) / (x2 / n2)``, and its 95% interval.

    The log method of Katz et al. (Biometrics 1978): ``log ratio +- z sqrt(1/x1 - 1/n1 + 1/x2 - 1/n2)``. Where nobody of
    the first group was offered it the low end is 0, and the high one that of counts with a half added (Pettigrew, Gart
    and Thomas, Biometrika 1986).

    Parameters
    ----------
    offered, could : x and n of the two groups, the lower rate first
    pairs : of groups, among which these two were picked for being furthest apart: z is Bonferroni's, so that the
        intervals of all pairs hold together. Without it every attribute of many groups would look unfair
    """
    (x1, x2), (n1, n2) = offered, could
    ratio = (x1 / n1) / (x2 / n2)
    if x1 == 0:
        x1, x2, n1, n2 = x1 + 0.5, x2 + 0.5, n1 + 0.5, n2 + 0.5  # type: ignore[assignment]
    z = float(ndtri(1 - (1 - CONFIDENCE) / 2 / pairs))
    reach = z * math.sqrt(1 / x1 - 1 / n1 + 1 / x2 - 1 / n2)
    middle = math.log((x1 / n1) / (x2 / n2))
    return BootstrapInterval(ratio, math.exp(middle - reach) if ratio else 0.0, math.exp(middle + reach))


def gini(offered: NDArray[np.number], could: NDArray[np.number]) -> NDArray[np.float64]:
    """The Gini coefficient of offers over customers in the order of an attribute (the concentration index).

    ``1 - sum over bins b of (X[b] - X[b - 1]) (Y[b] + Y[b - 1])``, X and Y being the shares of customers and of offers
    in the bins up to b: twice the area between the concentration curve and the diagonal (Kakwani, Wagstaff and van
    Doorslaer, Journal of Econometrics 1997). Above 0: offers go to those of high values; 0: to all alike; offers to a
    share s of the customers cannot go beyond 1 - s.

    Parameters
    ----------
    offered, could : shape (..., n_bins), in ascending order of the attribute

    Returns
    -------
    shape (...); NaN where there is no offer
    """
    n, total = could.sum(axis=-1, keepdims=True), offered.sum(axis=-1, keepdims=True)
    shares = np.divide(could, n, out=np.full(could.shape, np.nan), where=n > 0)
    ours = np.divide(offered, total, out=np.full(offered.shape, np.nan), where=total > 0)
    curve = np.cumsum(ours, axis=-1)
    found: NDArray[np.float64] = 1 - (shares * (2 * curve - ours)).sum(axis=-1)
    return found


def gini_estimate(
    offered: NDArray[np.int64], could: NDArray[np.int64], rng: np.random.Generator, resamples: int
) -> BootstrapEstimate:
    """The coefficient and what it is in resamples of the customers.

    Each customer counts w ~ Poisson(1) times, so those of a bin who were offered the product, and those who were not,
    count Poisson of their number (see `training.evaluation.intervals`).
    """
    some = could > 0
    offered, others = offered[some], (could - offered)[some]
    replicates = []
    width = max(1, _CHUNK_CELLS // max(len(offered), 1))
    for start in range(0, resamples, width):
        shape = min(width, resamples - start), len(offered)
        drawn = rng.poisson(offered, shape)
        replicates.append(gini(drawn, drawn + rng.poisson(others, shape)))
    return BootstrapEstimate(float(gini(offered, offered + others)), np.concatenate(replicates))


@dataclass(frozen=True)
class _Attribute:
    """An attribute and the groups it makes.

    Attributes
    ----------
    texts : the groups' names; none of what is a number
    edges : float64, ascending; a number's bin is how many of them it is not below
    """

    name: str
    texts: tuple[str, ...] = ()
    edges: NDArray[np.float64] | None = None

    @property
    def n_groups(self) -> int:
        if self.texts:
            return len(self.texts)
        return OLDEST + 1 if self.edges is None else len(self.edges) + 1

    def groups_of(self, block: CustomerBlock, decisions: Decisions) -> NDArray[np.int64]:
        """Shape (n_customers,): the group of each; -1: not known."""
        if self.name == AGE:
            ages = decisions.facts.ages
            return np.where(np.isnan(ages), -1, np.clip(np.nan_to_num(ages), 0, OLDEST)).astype(np.int64)
        profile = block.states.profile
        if self.texts:
            codes = profile.codes[self.name][np.maximum(block.versions, 0)]
            return np.where(block.versions < 0, -1, codes).astype(np.int64)
        numbers = _numbers(profile, self.name, block.versions)
        assert self.edges is not None
        return np.where(np.isnan(numbers), -1, np.searchsorted(self.edges, numbers, side="right"))


def _attribute(name: str, states: CustomerStates, period: int) -> _Attribute | None:
    """The attribute as the customers known at `period` have it; None: nobody has."""
    if name == AGE:
        return _Attribute(name)
    profile = states.profile
    if name in profile.codes:
        return _Attribute(name, profile.vocabularies[name]) if profile.vocabularies[name] else None
    if name not in profile.numbers and name not in profile.days:
        return None
    known = states.known_at(period)
    sample = known[:: max(1, math.ceil(len(known) / _SAMPLE))]
    numbers = _numbers(profile, name, profile.versions_at(sample, period))
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        return None
    values = np.unique(numbers)
    if len(values) > BINS:
        values = np.unique(np.quantile(numbers, np.arange(BINS) / BINS, method="inverted_cdf"))
    return _Attribute(name, edges=values[1:])


def _numbers(profile: Profile, name: str, versions: NDArray[np.int64]) -> NDArray[np.float64]:
    """The numbers, or days since 1970-01-01, of profile `versions`; NaN: not known."""
    places = np.maximum(versions, 0)
    if name in profile.numbers:
        numbers = profile.numbers[name][places].astype(np.float64)
    else:
        days = profile.days[name][places]
        numbers = np.where(days == MISSING_DAY, np.nan, days.astype(np.float64))
    numbers[versions < 0] = np.nan
    return numbers


def _counted(
    groups: NDArray[np.int64], products: NDArray[np.int64], n_groups: int, n_products: int
) -> NDArray[np.int64]:
    """Shape (n_groups, n_products): how many pairs there are of each; group -1 is not counted."""
    known = groups >= 0
    cells = groups[known] * n_products + products[known]
    return np.bincount(cells, minlength=n_groups * n_products).reshape(n_groups, n_products)


def _judged_ratio(
    attribute: _Attribute, product: Product, could: NDArray[np.int64], offered: NDArray[np.int64], fairness: Fairness
) -> Iterator[Finding]:
    enough = np.flatnonzero(could >= LEAST_CUSTOMERS)
    if len(enough) < 2 or not offered[enough].any():
        return
    rates = offered[enough] / could[enough]
    ends = [int(enough[np.argmin(rates)]), int(enough[np.argmax(rates)])]
    if ends[0] == ends[1]:  # all alike
        ends[1] = int(enough[1])
    pairs = len(enough) * (len(enough) - 1) // 2
    interval = rate_ratio(offered[ends].tolist(), could[ends].tolist(), pairs=pairs)
    least = fairness.by_family.get(product.family, fairness).rate_ratio
    verdict = Status.FAIL if interval.high < least else Status.WARN if interval.value < least else Status.PASS
    lowest, highest = (GroupRate(attribute.texts[g], float(offered[g] / could[g]), int(could[g])) for g in ends)
    yield Finding(
        attribute.name, product.product_id, product.family, "rate_ratio", interval, least, verdict, lowest, highest,
        int(could.sum()),
    )  # fmt: skip


def _judged_gini(
    attribute: _Attribute, product: Product, could: NDArray[np.int64], offered: NDArray[np.int64], fairness: Fairness,
    rng: np.random.Generator, resamples: int,
) -> Iterator[Finding]:  # fmt: skip
    if could.sum() < LEAST_CUSTOMERS or (could > 0).sum() < 2 or not offered.any():
        return
    interval = gini_estimate(offered, could, rng, resamples).interval()
    most = fairness.by_family.get(product.family, fairness).gini
    # NaN ends are never beyond
    is_beyond = interval.low > most or interval.high < -most
    verdict = Status.FAIL if is_beyond else Status.WARN if abs(interval.value) > most else Status.PASS
    yield Finding(
        attribute.name, product.product_id, product.family, "gini", interval, most, verdict, None, None,
        int(could.sum()),
    )  # fmt: skip
