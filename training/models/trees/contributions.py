"""What each feature adds to the raw score of boosted trees: Shapley values (Lundberg, Erion and Lee 2018, TreeSHAP).

The game of a tree: knowing the features S, a leaf is reached with probability ``prod_{i in S} o_i prod_{i not in S}
z_i``, with o_i 1 where the customer goes the leaf's way at all splits on feature i, and z_i the share of training rows
that did (the path-dependent form, that of LightGBM's ``predict(pred_contrib=True)``). Such a product has its Shapley
values in closed form, an integral of its multilinear extension along the diagonal (Owen 1972):

    phi_i = leaf (o_i - z_i) integral_0^1 prod_{j != i} (z_j + (o_j - z_j) t) dt

a polynomial of degree d - 1 for d features on the way to the leaf, integrated exactly by ``(d + 1) // 2`` nodes of
Gauss and Legendre; nothing is divided, so nothing is lost to rounding. Which of few features are followed has few
answers, so most leaves are looked up. A class is explained by its own trees: LightGBM computes all classes,
milliseconds where an answer may take microseconds. A small tree is looked up whole, by which of its splits send the
customer right; its many steps, side by side, are added up sooner than leaves are found.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput

from .ensemble import (
    MAX_LEAVES,
    NotRepresentable,
    ScoringEngine,
    Tree,
    columns_of,
    feature_count,
    parsed,
    rounded_down,
    starts,
    text_of,
)
from .shapley import FEW, LANES, MOST_TABULATED, explain_few, explain_many, tabulate, tabulate_whole

if TYPE_CHECKING:
    import lightgbm as lgb

_MOST_WHOLE = 4  # splits of a tree up to which the 2**n sets of them that send right may be
_TABLE_VALUES = 1 << 20  # 8 MiB

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TreeContributions:
    """The trees of a booster, laid out for explaining single classes.

    A step is a distinct feature on the way to a leaf: several splits may ask for it. Of a tree that is looked up whole,
    all leaves are laid out as one, with the steps of each in turn and a bit for each split.

    Attributes
    ----------
    base : float64, shape (n_classes,); mean raw score of the training rows: of each leaf by its share of them
    class_starts : uint32, shape (n_classes + 1,); where the trees of each class begin
    split_starts, leaf_starts : uint32, shape (n_trees + 1,); where the splits and the leaves of each tree begin
    split_features : uint32, shape (n_splits,); the feature each split reads
    split_missing_as : float32, shape (n_splits,); read in place of a missing value
    split_zero_is_missing : bool, shape (n_splits,)
    split_cuts : float32, shape (n_splits,); what exceeds it goes right
    split_steps : uint8, shape (n_splits,); which step the split's feature is on the ways through it; of a whole tree,
        which split it is
    split_children : uint8, shape (n_splits, 2); what lies left and right: a split of the tree; from `MAX_LEAVES` on, a
        leaf, from the left. Of a whole tree, the next split on both sides
    leaves : float64, shape (n_leaves,); values
    leaf_ways : uint64, shape (n_leaves,); the bits that tell the ways to a leaf apart: bit i is set on those that
        follow step i; of a whole tree, on those that go right at split i
    step_starts : uint32, shape (n_leaves + 1,); where the steps of each leaf begin
    step_leaves : uint32, shape (n_steps,); the leaf that each step leads to
    step_features : uint32, shape (n_steps,)
    step_covers : float64, shape (n_steps,); z, product of the shares of training rows that went on towards the leaf
    table_starts : int64, shape (n_leaves + 1,); where the table of each leaf begins, empty where there are many steps
    table : float64; what each step contributes, step by step, way by way
    """

    base: NDArray[np.float64]
    class_starts: NDArray[np.uint32]
    split_starts: NDArray[np.uint32]
    leaf_starts: NDArray[np.uint32]
    split_features: NDArray[np.uint32]
    split_missing_as: NDArray[np.float32]
    split_zero_is_missing: NDArray[np.bool_]
    split_cuts: NDArray[np.float32]
    split_steps: NDArray[np.uint8]
    split_children: NDArray[np.uint8]
    leaves: NDArray[np.float64]
    leaf_ways: NDArray[np.uint64]
    step_starts: NDArray[np.uint32]
    step_leaves: NDArray[np.uint32]
    step_features: NDArray[np.uint32]
    step_covers: NDArray[np.float64]
    table_starts: NDArray[np.int64]
    table: NDArray[np.float64]

    @classmethod
    def of(cls, booster: lgb.Booster | str, columns: NDArray[np.int64] | None = None) -> Self:
        """Lay out the trees of `booster`.

        Parameters
        ----------
        booster : or its text
        columns : int64, shape (booster.num_feature(),); where its features stand among those to be explained; by
            default all of them, in order

        Raises
        ------
        NotRepresentable : when `TreeEnsemble.of` would, or the text does not say how many training rows went where
        """
        text = text_of(booster)
        try:
            places = np.arange(feature_count(text)) if columns is None else columns
            n_classes, trees = parsed(text)
        except (KeyError, ValueError) as error:
            raise NotRepresentable(f"its text is not what LightGBM used to write: {error!r}") from error
        by_class = [trees[k::n_classes] for k in range(n_classes)]
        trees = [tree for mine in by_class for tree in mine]
        ways_of = [_ways(tree) for tree in trees]
        ways = [way for mine in ways_of for way in mine]
        steps = [step for way in ways for step in way]
        means = np.array([_mean(*each) for each in zip(trees, ways_of, strict=True)])
        of_class = np.repeat(np.arange(n_classes), [len(mine) for mine in by_class])
        feature, missing_as, zero_is_missing = columns_of(
            np.array([reading for tree in trees for reading in tree.readings], dtype=np.int64)
        )
        leaves = np.array([leaf for tree in trees for leaf in tree.leaves], dtype=np.float64)
        step_starts = starts([len(way) for way in ways])
        step_covers = np.array([step.cover for step in steps], dtype=np.float64)
        table_starts, table = _table_of(leaves, step_starts, step_covers)
        return cls(
            base=np.bincount(of_class, weights=means, minlength=n_classes).astype(np.float64),
            class_starts=starts([len(mine) for mine in by_class]),
            split_starts=starts([len(tree.readings) for tree in trees]),
            leaf_starts=starts([len(tree.leaves) for tree in trees]),
            split_features=places[feature].astype(np.uint32),
            split_missing_as=missing_as,
            split_zero_is_missing=zero_is_missing,
            split_cuts=rounded_down(np.array([threshold for tree in trees for threshold in tree.thresholds])),
            split_steps=np.array([step for ways in ways_of for step in _steps_of_splits(ways)], dtype=np.uint8),
            split_children=np.concatenate([_children(tree) for tree in trees]),
            leaves=leaves,
            leaf_ways=_bits_below(np.diff(step_starts.astype(np.int64))),
            step_starts=step_starts,
            step_leaves=np.repeat(np.arange(len(ways), dtype=np.uint32), [len(way) for way in ways]),
            step_features=places[np.array([step.feature for step in steps], dtype=np.int64)].astype(np.uint32),
            step_covers=step_covers,
            table_starts=table_starts,
            table=table,
        )._with_small_trees_whole()

    def _with_small_trees_whole(self) -> Self:
        """The same contributions, from tables of small trees instead of those of their leaves."""
        n_splits, lengths = (np.diff(of_each.astype(np.int64)) for of_each in (self.split_starts, self.table_starts))
        tabulated = np.logical_and.reduceat(lengths > 0, self.leaf_starts[:-1].astype(np.int64))
        whole = tabulated & (n_splits > 0) & (n_splits <= _MOST_WHOLE)
        steps_of_tree = np.diff(self.step_starts[self.leaf_starts].astype(np.int64))
        if (steps_of_tree << n_splits)[whole].sum() > _TABLE_VALUES:
            return self
        tree_of_leaf, tree_of_split = (
            np.repeat(np.arange(len(whole)), np.diff(of_each.astype(np.int64)))
            for of_each in (self.leaf_starts, self.split_starts)
        )
        split = np.arange(len(tree_of_split)) - self.split_starts[tree_of_split]
        following = np.where(split + 1 == n_splits[tree_of_split], MAX_LEAVES, split + 1)
        kept = np.flatnonzero(~whole[tree_of_leaf] | (np.arange(len(lengths)) == self.leaf_starts[tree_of_leaf]))
        tree, step_starts = tree_of_leaf[kept], np.append(self.step_starts[kept], self.step_starts[-1])
        lengths = np.where(whole[tree], (steps_of_tree << n_splits)[tree], lengths[kept])
        table_starts = np.append(0, np.cumsum(lengths))
        table = np.empty(table_starts[-1])
        tabulate_whole(kept, tree, whole, *self._arrays, table_starts, table)
        return replace(
            self,
            leaf_starts=np.searchsorted(tree, np.arange(len(whole) + 1)).astype(np.uint32),
            split_steps=np.where(whole[tree_of_split], split, self.split_steps).astype(np.uint8),
            split_children=np.where(whole[tree_of_split, None], following[:, None], self.split_children).astype(
                np.uint8
            ),
            leaves=self.leaves[kept],
            leaf_ways=np.where(whole[tree], _bits_below(n_splits[tree]), self.leaf_ways[kept]),
            step_starts=step_starts,
            step_leaves=np.repeat(np.arange(len(kept), dtype=np.uint32), np.diff(step_starts.astype(np.int64))),
            table_starts=table_starts,
            table=table,
        )

    def add(
        self, features: NDArray[np.float32], classes: NDArray[np.int64], factor: float, out: NDArray[np.float64]
    ) -> None:
        """Add `factor` times what each feature contributes to the raw scores of some classes.

        Each row's contributions are, to the last bit, its own. Over the features they add up to the raw score less
        `base`.

        Parameters
        ----------
        features : float32, shape (n_customers, n_features); NaN: missing
        classes : int64, shape (n_customers, k); -1: none
        out : float64, shape (n_customers, k, n_features); is added to

        Raises
        ------
        BadInput : when a feature that the trees read is not among the columns
        """
        if features.ndim != 2 or features.shape[1] <= self._last_feature:
            raise BadInput(
                f"features {features.shape} cannot be explained: the trees read columns 0 to {self._last_feature}"
            )
        explain = explain_few if len(features) <= FEW else explain_many
        explain(
            np.ascontiguousarray(features, dtype=np.float32), np.ascontiguousarray(classes, dtype=np.int64), factor,
            *self._arrays, *_RULES, out,
        )  # fmt: skip

    @cached_property
    def _last_feature(self) -> int:
        return int(self.split_features.max(initial=0))

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        """As the kernels take them."""
        return (
            self.class_starts,
            (
                self.split_starts, self.split_features, self.split_missing_as, self.split_zero_is_missing,
                self.split_cuts, self.split_steps, self.split_children,
            ),
            (self.leaf_starts, self.leaves, self.leaf_ways),
            (self.step_starts, self.step_leaves, self.step_features, self.step_covers),
            (self.table_starts, self.table),
        )  # fmt: skip


@dataclass(frozen=True)
class TreeExplainer:
    """The booster of a scoring engine, explained by its laid out trees, or by LightGBM where they cannot be.

    Attributes
    ----------
    engine : what scores
    trees : none: LightGBM explains, but for leaves that are linear models, which it refuses
    base : float64, shape (n_classes,); what the contributions are added to
    """

    engine: ScoringEngine
    trees: TreeContributions | None
    base: NDArray[np.float64]

    @classmethod
    def of(cls, engine: ScoringEngine) -> Self:
        """Lay the trees out, if `engine` could; a warning says when LightGBM has to explain."""
        if engine.ensemble is not None:
            try:
                trees = TreeContributions.of(engine.text, engine.columns)
            except NotRepresentable as reason:
                n_trees = engine.booster.num_trees()
                _log.warning("a booster of %d trees is explained by LightGBM, slowly: %s", n_trees, reason)
            else:
                return cls(engine, trees, trees.base)
        nobody = np.zeros((1, engine.booster.num_feature()), dtype=np.float32)
        return cls(engine, None, _by_lightgbm(engine.booster, nobody)[0, :, -1])

    def add(
        self, features: NDArray[np.float32], classes: NDArray[np.int64], factor: float, out: NDArray[np.float64]
    ) -> None:
        """As `TreeContributions.add`."""
        if self.trees is not None:
            self.trees.add(features, classes, factor, out)
            return
        columns = self.engine.columns
        all_classes = _by_lightgbm(self.engine.booster, features[:, columns])[:, :, :-1]
        asked = classes >= 0
        mine = np.take_along_axis(all_classes, np.maximum(classes, 0)[:, :, None], axis=1)
        out[:, :, columns] += np.where(asked[:, :, None], factor * mine, 0.0)


def _by_lightgbm(booster: lgb.Booster, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shape (n_customers, n_classes, n_features + 1); the last column is the base."""
    found = booster.predict(features, pred_contrib=True, num_threads=1)
    return np.asarray(found, dtype=np.float64).reshape(len(features), -1, booster.num_feature() + 1)


class _Step(NamedTuple):
    """A distinct feature on the way to a leaf.

    Attributes
    ----------
    cover : as `TreeContributions.step_covers`
    splits : bit s: split s of the tree asks for the feature on the way
    """

    feature: int
    cover: float
    splits: int


_Way = tuple[_Step, ...]  # to a leaf, in the order in which the features are met


def _ways(tree: Tree) -> list[_Way]:
    """To each leaf, from the left."""
    if not tree.readings:
        return [()]
    if len(tree.split_counts) != len(tree.readings) or len(tree.leaf_counts) != len(tree.leaves):
        raise NotRepresentable("it does not say how many training rows went where")
    if min(tree.split_counts) == 0:
        raise NotRepresentable("no training row came to one of its splits")
    ways: list[_Way] = []

    def walk(node: int, way: _Way) -> None:
        if node < 0:
            ways.append(way)
            return
        for child in tree.children[node]:
            count = tree.split_counts[child] if child >= 0 else tree.leaf_counts[~child]
            walk(child, _with(way, _Step(tree.readings[node] >> 3, count / tree.split_counts[node], 1 << node)))

    walk(0, ())
    return ways


def _with(way: _Way, step: _Step) -> _Way:
    """`way` and one more split, which joins the step of its feature if there is one."""
    for place, other in enumerate(way):
        if other.feature == step.feature:
            both = _Step(step.feature, other.cover * step.cover, other.splits | step.splits)
            return (*way[:place], both, *way[place + 1 :])
    return (*way, step)


def _steps_of_splits(ways: list[_Way]) -> list[int]:
    """Of each split, which step its feature is: the same on all ways through it, which part below it."""
    found = {split: i for way in ways for i, step in enumerate(way) for split in _bits(step.splits)}
    return [found[split] for split in range(len(found))]


def _bits(word: int) -> list[int]:
    return [bit for bit in range(word.bit_length()) if word >> bit & 1]


def _children(tree: Tree) -> NDArray[np.uint8]:
    """`split_children` of one tree."""
    order = _from_the_left(tree, 0) if tree.children else []
    numbers = {leaf: MAX_LEAVES + number for number, leaf in enumerate(order)}
    return np.array([[numbers.get(child, child) for child in both] for both in tree.children], np.uint8).reshape(-1, 2)


def _from_the_left(tree: Tree, node: int) -> list[int]:
    """The leaves below a node, as `Tree.children` has them."""
    return [node] if node < 0 else [leaf for child in tree.children[node] for leaf in _from_the_left(tree, child)]


def _mean(tree: Tree, ways: list[_Way]) -> float:
    """Of the leaves, by the training rows in each."""
    return sum(leaf * prod(step.cover for step in way) for leaf, way in zip(tree.leaves, ways, strict=True))


def _table_of(
    leaves: NDArray[np.float64], step_starts: NDArray[np.uint32], covers: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`table_starts` and `table` of `TreeContributions`."""
    n_steps = np.diff(step_starts.astype(np.int64))
    lengths = n_steps << np.minimum(n_steps, MOST_TABULATED)
    # the leaves of the fewest steps, as long as there is room
    room = np.cumsum(np.bincount(n_steps, weights=lengths)) <= _TABLE_VALUES
    lengths[(n_steps > MOST_TABULATED) | ~room[n_steps]] = 0
    table_starts = np.append(0, np.cumsum(lengths)).astype(np.int64)
    table = np.empty(table_starts[-1])
    tabulate(leaves, step_starts, covers, table_starts, *_RULES, table)
    return table_starts, table


def _bits_below(n: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Words of which as many bits are set as `n` says, from the lowest on."""
    return (np.uint64(1) << n.astype(np.uint64)) - np.uint64(1)


def _rules(most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of Gauss-Legendre rules on [0, 1], shape (most + 1, `LANES` groups of them).

    Row n is the rule of n nodes, or of as many more as fill the last group: that integrates as well, and costs nothing.
    """
    nodes, weights = np.zeros((2, most + 1, most))
    for n in range(1, most + 1):
        filled = -(-n // LANES) * LANES
        at, weight = np.polynomial.legendre.leggauss(filled)
        nodes[n, :filled], weights[n, :filled] = (1 + at) / 2, weight / 2
    return nodes, weights


_RULES = _rules(MAX_LEAVES // 2)  # a tree of 64 leaves asks for 63 features at most on the way to one
