"""Association rules: customers who hold A, or A and B, acquire C so many times as often. Readable, and a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features import Catalogue
from features.kernels import kernel

from ..examples import Examples, SegmentCounts, rates_of
from .lifts import LiftModel, SegmentRates
from .protocol import ModelConfig

_MOST_PAIRS = 4096
"""Pairs of products held together that rules are sought for, the most frequent ones: what bounds the memory."""


class AssociationRulesConfig(ModelConfig):
    """Settings of association rules."""

    min_support: int = Field(default=10, ge=1)
    """Acquisitions, observed or expected, that a rule must rest on."""

    shrinkage: float = Field(default=30.0, gt=0)
    """Expected acquisitions with which a lift is halfway between what was observed and no lift at all."""


@dataclass(frozen=True)
class Rule:
    """Customers who hold one or two products acquire another more, or less, often than similar customers.

    Attributes
    ----------
    held : positions of the products held, ascending
    product : position of the product acquired
    support : acquisitions by customers who held those
    confidence : share of the candidates who held those that acquired it within the horizon
    lift : times as often as others of the same segments, shrunk
    """

    held: tuple[int, ...]
    product: int
    support: int
    confidence: float
    lift: float

    def sentence(self, catalogue: Catalogue, language: Literal["en", "zh"] = "en") -> str:
        """The rule in words."""
        chinese = language == "zh"
        names = [p.name_zh if chinese and p.name_zh else p.name for p in catalogue.products]
        held = ("和" if chinese else " and ").join(names[position] for position in self.held)
        if chinese:
            return f"持有{held}的客户新增{names[self.product]}的频率是同类客户的 {self.lift:.1f} 倍"
        return (
            f"customers who hold {held} take {names[self.product]} {self.lift:.1f} times as often as similar customers"
        )


class AssociationRules(LiftModel):
    """The lifts of all rules that fit a customer's portfolio, on the odds of the customer's segment.

    Of dated holdings the rules count acquisitions after holding, among those who could acquire. A rule from one product
    shrinks to no lift, a rule from two to the product of the lifts of each. A portfolio's lift is the product of the
    lifts from each product held (naive Bayes), times the geometric mean of what its pairs say beyond that: many
    pairs of a portfolio say the same thing, and their product would count it over and over.
    """

    name: ClassVar[str] = "association_rules"
    Config: ClassVar[type[ModelConfig]] = AssociationRulesConfig
    config: AssociationRulesConfig

    def rules(self) -> tuple[Rule, ...]:
        """Every rule, the largest lift first; ties by the positions of the products held, then of the one acquired."""
        held = [(product,) for product in range(self.n_products)] + [(a, b) for a, b in self._pairs.tolist()]
        found = [
            self._rule(held[antecedent], antecedent, product)
            for antecedent, product in np.argwhere(self._are_rules).tolist()
        ]
        return tuple(sorted(found, key=lambda rule: (-rule.lift, rule.held, rule.product)))

    def strongest(
        self, portfolios: NDArray[np.bool_] | NDArray[np.uint64], products: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The rules of the largest lift above 1 from what each customer holds to some products.

        The first of `rules` of which that is so: ties go to the lower positions held.

        Parameters
        ----------
        portfolios : shape (n_customers, n_products); held where true, or where bit 0 is set
        products : int64, shape (n_customers, k); -1: none

        Returns
        -------
        int64, shape (n_customers, k); antecedents, for `rule`; -1: there is none
        float64, same shape; lifts; 1: there is none
        """
        found, lifts = np.empty(products.shape, np.int64), np.empty(products.shape)
        tables = self._are_rules, self._lifts, self._pair_at
        _strongest(np.ascontiguousarray(portfolios), products, *tables, found, lifts)
        return found, lifts

    def rule(self, antecedent: int, product: int) -> Rule:
        """The rule from an antecedent to a product."""
        n = self.n_products
        held = (antecedent,) if antecedent < n else tuple(self._pairs[antecedent - n].tolist())
        return self._rule(held, antecedent, product)

    def _rule(self, held: tuple[int, ...], antecedent: int, product: int) -> Rule:
        candidates, acquired = self._counts[:, antecedent, product].tolist()
        return Rule(held, product, acquired, acquired / candidates, float(self._lifts[antecedent, product]))

    def _fit(self, examples: Examples) -> None:
        n = examples.n_products
        segments, together = SegmentCounts(examples.n_segments, n), np.zeros((n, n), np.int64)
        for batch in examples.batches():
            segments.add(batch)
            _count_together(batch.block.words, together)
        rates = SegmentRates.of(segments)
        self._rates = rates.lately
        self._pairs = _frequent_pairs(together, self.config.min_support)
        self._counts = np.zeros((2, n + len(self._pairs), n), np.int64)
        expected = np.zeros(self._counts.shape[1:])
        pair_at = _pair_at(self._pairs, n)
        for batch in examples.batches():
            block = batch.block
            to_expect = rates_of(rates.throughout, block.segments)
            _count(block.words, block.candidates, batch.acquired, to_expect, pair_at, *self._counts, expected)
        observed = self._counts[1]
        self._are_rules = np.maximum(observed, expected) >= self.config.min_support
        s = self.config.shrinkage
        self._lifts = np.where(self._are_rules, (observed + s) / (expected + s), 1.0)
        alone = self._lifts[self._pairs[:, 0]] * self._lifts[self._pairs[:, 1]]
        both = alone * (observed[n:] + s) / (expected[n:] * alone + s)
        self._lifts[n:] = np.where(self._are_rules[n:], both, alone)
        self._prepare()

    def _prepare(self) -> None:
        """What scoring asks for, worked out once."""
        n = self._lifts.shape[1]
        self._pair_at = _pair_at(self._pairs, n)
        self._beyond = np.log(self._lifts[n:] / (self._lifts[self._pairs[:, 0]] * self._lifts[self._pairs[:, 1]]))

    def _lifts_of(self, portfolios: NDArray[np.bool_] | NDArray[np.uint64]) -> NDArray[np.float64]:
        return _combine(portfolios, self._lifts[: self.n_products], self._beyond, self._pair_at)

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        np.savez(
            folder / "rules.npz",
            pairs=self._pairs,
            counts=self._counts,
            are_rules=self._are_rules,
            lifts=self._lifts,
        )

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        with np.load(folder / "rules.npz", allow_pickle=False) as arrays:
            self._pairs, self._counts = arrays["pairs"], arrays["counts"]
            self._are_rules, self._lifts = arrays["are_rules"], arrays["lifts"]
        self._prepare()


def _frequent_pairs(together: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Shape (n_pairs, 2): positions of the products held together at least so often, in order."""
    first, second = np.nonzero(np.triu(together, 1) >= least)
    kept = np.sort(np.argsort(-together[first, second], kind="stable")[:_MOST_PAIRS])
    return np.stack([first[kept], second[kept]], axis=1)


def _pair_at(pairs: NDArray[np.int64], n_products: int) -> NDArray[np.int64]:
    """Shape (n_products, n_products): where in `pairs` two products are, the lower first; -1: nowhere."""
    positions = np.full((n_products, n_products), -1, np.int64)
    positions[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    return positions


@kernel
def _held(cells, held):  # type: ignore[no-untyped-def]
    """Put the positions of the products of one row that are held into `held`; their number."""
    n_held = 0
    for product in range(len(cells)):
        if np.uint64(cells[product]) & np.uint64(1):
            held[n_held] = product
            n_held += 1
    return n_held


@kernel
def _strongest(portfolios, products, are_rules, lifts, pair_at, found, how_strong):  # type: ignore[no-untyped-def]
    """Write antecedent and lift of the rule of the largest lift above 1 to each of `products`; -1: there is none."""
    n_products = portfolios.shape[1]
    held = np.empty(n_products, np.int64)
    for row in range(len(products)):
        n_held = _held(portfolios[row], held)
        for k in range(products.shape[1]):
            product, best, lift = products[row, k], -1, 1.0
            for i in range(n_held if product >= 0 else 0):
                if held[i] == product:
                    continue
                if are_rules[held[i], product] and lifts[held[i], product] > lift:
                    best, lift = held[i], lifts[held[i], product]
                for j in range(i + 1, n_held):
                    pair = pair_at[held[i], held[j]]
                    if pair < 0 or held[j] == product:
                        continue
                    antecedent = n_products + pair
                    if are_rules[antecedent, product] and lifts[antecedent, product] > lift:
                        best, lift = antecedent, lifts[antecedent, product]
            found[row, k], how_strong[row, k] = best, lift


@kernel
def _count_together(words, together):  # type: ignore[no-untyped-def]
    held = np.empty(words.shape[1], np.int64)
    for row in range(words.shape[0]):
        n_held = _held(words[row], held)
        for i in range(n_held):
            for j in range(i):
                together[held[j], held[i]] += 1


@kernel
def _count(words, candidates, acquired, rates, pair_at, n_candidates, n_acquired, expected):  # type: ignore[no-untyped-def]
    """Add to candidates, acquisitions and those expected, (n_products + n_pairs, n_products), products held first."""
    n_products = words.shape[1]
    held = np.empty(n_products, np.int64)
    for row in range(words.shape[0]):
        n_held = _held(words[row], held)
        for i in range(n_held):
            for j in range(i + 1):
                antecedent = held[i]
                if j < i:
                    pair = pair_at[held[j], held[i]]
                    if pair < 0:
                        continue
                    antecedent = n_products + pair
                for product in range(n_products):
                    if candidates[row, product]:
                        n_candidates[antecedent, product] += 1
                        n_acquired[antecedent, product] += acquired[row, product]
                        expected[antecedent, product] += rates[row, product]


@kernel
def _combine(portfolios, lifts, beyond, pair_at):  # type: ignore[no-untyped-def]
    """Lifts of portfolios (m, n_products): the product of `lifts` of each product held, times the geometric mean of
    what pairs say `beyond` them, in logarithms."""
    n_portfolios, n_products = portfolios.shape
    combined = np.ones((n_portfolios, n_products), np.float64)
    held = np.empty(n_products, np.int64)
    total = np.empty(n_products, np.float64)
    for row in range(n_portfolios):
        n_held = _held(portfolios[row], held)
        n_pairs = 0
        total[:] = 0.0
        for i in range(n_held):
            combined[row] *= lifts[held[i]]
            for j in range(i):
                pair = pair_at[held[j], held[i]]
                if pair >= 0:
                    total += beyond[pair]
                    n_pairs += 1
        if n_pairs > 0:
            for product in range(n_products):
                combined[row, product] *= np.exp(total[product] / n_pairs)
    return combined
