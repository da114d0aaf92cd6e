"""Boosted trees scored without walking them: a bitmask traversal after QuickScorer (Lucchese et al. 2015).

A feature is binned once against the thresholds that the trees put to it. Each split that a customer exceeds then takes
away the leaves on its left: the masks of a tree's splits are ANDed, and the lowest bit that remains is the leaf.
Nothing branches on data, so one instruction serves many customers. The leaves of a class are added up in the order of
its trees, as LightGBM does, so the sums are LightGBM's to the last bit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numba import prange
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from features.errors import BadInput
from features.kernels import kernel

if TYPE_CHECKING:
    import lightgbm as lgb

MAX_LEAVES = 64
"""Leaves of a tree that fit one mask."""

_TILE = 128  # customers scored side by side: their bins stay in the processor's nearest cache
_SMALL_TILE = 32  # of fewer, the loops over them would be taken apart instead of being done many at a time
_FEW = 64  # customers: below this, waking the threads costs more than the arithmetic
_SINGLY = 5  # customers: up to as many, one after the other is faster
_MAX_CUTS = 255  # of a column: what a byte counts to
_ALL_LEAVES = np.uint64(2**64 - 1)
_NEXT_TO_ZERO = np.float32(1e-35)  # LightGBM takes what is no further from 0 for 0 (kZeroThreshold)
_NO_MISSING, _ZERO_IS_MISSING = 0, 1  # LightGBM's missing types; a third: NaN is missing
_CHECKED_ROWS = 256
_PAYS_FOR_THREADS = 1000  # customers from which a second thread of LightGBM saves more than it costs

_log = logging.getLogger(__name__)


class NotRepresentable(Exception):
    """A booster has what `TreeEnsemble` cannot lay out; the message says what."""


@dataclass(frozen=True)
class TreeEnsemble:
    """The trees of a booster, laid out for scoring.

    A column is a feature as splits of one kind read it: where a missing value goes depends on the split.

    Attributes
    ----------
    features : uint32, shape (n_columns,); the feature that each column reads
    missing_as : float32, shape (n_columns,); read in place of a missing value: -inf goes left everywhere, NaN right
    zero_is_missing : bool, shape (n_columns,)
    cut_starts : uint32, shape (n_columns + 1,); where the cuts of each column begin
    cuts : float32; ascending within a column; the bin of a value is the number of cuts it exceeds
    class_starts : uint32, shape (n_classes + 1,); where the trees of each class begin
    split_starts, leaf_starts : uint32, shape (n_trees + 1,); where the splits and the leaves of each tree begin
    split_columns : uint32, shape (n_splits,)
    split_bins : uint8, shape (n_splits,); what lies in a bin above it goes right
    split_masks : shape (n_splits,); the leaves, from the left, that remain to what goes right; of as few bits as the
        largest tree needs, so that one instruction serves as many customers as possible
    leaves : float64, shape (n_leaves,); values
    """

    features: NDArray[np.uint32]
    missing_as: NDArray[np.float32]
    zero_is_missing: NDArray[np.bool_]
    cut_starts: NDArray[np.uint32]
    cuts: NDArray[np.float32]
    class_starts: NDArray[np.uint32]
    split_starts: NDArray[np.uint32]
    leaf_starts: NDArray[np.uint32]
    split_columns: NDArray[np.uint32]
    split_bins: NDArray[np.uint8]
    split_masks: NDArray[np.unsignedinteger]
    leaves: NDArray[np.float64]

    @classmethod
    def of(cls, booster: lgb.Booster | str, columns: NDArray[np.int64] | None = None) -> Self:
        """Lay out the trees of `booster`.

        Parameters
        ----------
        booster : or its text
        columns : int64, shape (booster.num_feature(),); where its features stand among those to be scored; by default
            all of them, in order

        Raises
        ------
        NotRepresentable : when there are categorical splits, linear or averaged trees, or more than `MAX_LEAVES` leaves
        """
        text = text_of(booster)
        try:
            places = np.arange(feature_count(text)) if columns is None else columns
            n_classes, trees = parsed(text)
        except (KeyError, ValueError) as error:
            raise NotRepresentable(f"its text is not what LightGBM used to write: {error!r}") from error
        by_class = [trees[k::n_classes] for k in range(n_classes)]
        trees = [tree for mine in by_class for tree in mine]
        readings = np.array([reading for tree in trees for reading in tree.readings], dtype=np.int64)
        cuts = rounded_down(np.array([threshold for tree in trees for threshold in tree.thresholds]))

        # one row a distinct cut, by reading and ascending
        distinct, row_of = np.unique(np.stack([readings, cuts], axis=1), axis=0, return_inverse=True)
        reading = distinct[:, 0].astype(np.int64)
        bins = (np.arange(len(reading)) - np.searchsorted(reading, reading)) % _MAX_CUTS
        column = np.cumsum(bins == 0) - 1  # a reading of more cuts than a byte counts to takes several
        begins = np.flatnonzero(bins == 0)
        feature, missing_as, zero_is_missing = columns_of(reading[begins])
        return cls(
            features=places[feature].astype(np.uint32),
            missing_as=missing_as,
            zero_is_missing=zero_is_missing,
            cut_starts=np.append(begins, len(distinct)).astype(np.uint32),
            cuts=distinct[:, 1].astype(np.float32),
            class_starts=starts([len(mine) for mine in by_class]),
            split_starts=starts([len(tree.masks) for tree in trees]),
            leaf_starts=starts([len(tree.leaves) for tree in trees]),
            split_columns=column[row_of.ravel()].astype(np.uint32),
            split_bins=bins[row_of.ravel()].astype(np.uint8),
            split_masks=_narrowest(
                np.array([mask for tree in trees for mask in tree.masks], dtype=np.uint64),
                max((len(tree.leaves) for tree in trees), default=0),
            ),
            leaves=np.array([leaf for tree in trees for leaf in tree.leaves], dtype=np.float64),
        )

    def raw_scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """What ``booster.predict(features, raw_score=True)`` gives, bit for bit, each row by itself.

        Parameters
        ----------
        features : float32, shape (n_customers, n_features); NaN: missing

        Returns
        -------
        float64, shape (n_customers, n_classes); one class where the booster has no more

        Raises
        ------
        BadInput : when a feature that the trees read is not among the columns
        """
        exact = self.readable(features)
        scores = np.empty((len(exact), len(self.class_starts) - 1))
        score = score_trees if len(exact) < _FEW else _score_many
        score(exact, self.arguments, scores)
        return scores

    def readable(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """`features` as kernels read them.

        Raises
        ------
        BadInput : when a feature that the trees read is not among the columns
        """
        if features.ndim != 2 or features.shape[1] <= self._highest:
            raise BadInput(f"features {features.shape} cannot be scored: the trees read columns 0 to {self._highest}")
        return np.ascontiguousarray(features, dtype=np.float32)

    @cached_property
    def _highest(self) -> int:
        """The last feature that the trees read."""
        return int(self.features.max(initial=0))

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """The trees as kernels read them."""
        columns = (self.features, self.missing_as, self.zero_is_missing, self.cut_starts, self.cuts)
        splits = (self.split_starts, self.split_columns, self.split_bins, self.split_masks)
        return columns, self.class_starts, splits, self.leaf_starts, self.leaves


@dataclass(frozen=True)
class ScoringEngine:
    """A booster, scored by its laid out trees, or by LightGBM where they cannot be or do not agree.

    Attributes
    ----------
    source : the booster, or the file it is in
    columns : int64, shape (booster.num_feature(),); where its features stand among those to be scored
    ensemble : the trees, checked against the booster; none: LightGBM scores
    expected : float64, shape (n_drawn, n_classes); LightGBM's raw scores of the drawn customers that the trees are
        checked on, kept with them; none where `ensemble` is
    """

    source: lgb.Booster | Path
    columns: NDArray[np.int64]
    ensemble: TreeEnsemble | None
    expected: NDArray[np.float64] | None

    @classmethod
    def of(cls, booster: lgb.Booster, columns: NDArray[np.int64]) -> Self:
        """Lay the trees out and check them on drawn customers; a warning says when LightGBM has to score."""
        try:
            ensemble = TreeEnsemble.of(booster, columns)
            expected = _by_lightgbm(booster, _drawn(ensemble, columns)[:, columns])
            _check(ensemble, expected, columns)
        except NotRepresentable as reason:
            _log.warning("a booster of %d trees is scored by LightGBM, slowly: %s", booster.num_trees(), reason)
            return cls(booster, columns, None, None)
        return cls(booster, columns, ensemble, expected)

    @cached_property
    def booster(self) -> lgb.Booster:
        """What was fitted."""
        return _read_by_lightgbm(self.source) if isinstance(self.source, Path) else self.source

    @property
    def text(self) -> str:
        """The booster as LightGBM writes it."""
        return self.source.read_text(encoding="utf-8") if isinstance(self.source, Path) else text_of(self.source)

    def raw_scores(self, features: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
        """Raw scores, float64, shape (n_customers, n_classes), of `features`, float32, shape (n_customers, n_features).

        `threads` are those of LightGBM, should it have to score.
        """
        if self.ensemble is not None:
            return self.ensemble.raw_scores(features)
        return _by_lightgbm(self.booster, features[:, self.columns], threads)

    def save(self, path: Path) -> None:
        """Write the booster as LightGBM's text, and beside it what LightGBM says of the drawn customers."""
        self.booster.save_model(path)
        if self.expected is not None:
            np.save(_expected_beside(path), self.expected)

    @classmethod
    def load(cls, path: Path, columns: NDArray[np.int64] | None = None) -> Self:
        """Read what `save` wrote, and check the trees again, by what LightGBM said when they were saved.

        Where they do not agree with that, or nothing is kept of it, LightGBM itself is asked, as in `of`.
        """
        text = path.read_text(encoding="utf-8")
        places = np.arange(feature_count(text)) if columns is None else columns
        kept = _expected_beside(path)
        if kept.is_file():
            with suppress(NotRepresentable):  # LightGBM has the last word
                ensemble, expected = TreeEnsemble.of(text, places), np.load(kept, allow_pickle=False)
                _check(ensemble, expected, places)
                return cls(path, places, ensemble, expected)
        return cls.of(_read_by_lightgbm(path), places)


def _read_by_lightgbm(path: Path) -> lgb.Booster:
    import lightgbm as lgb  # takes over a second, and what is only scored hardly ever needs it

    return lgb.Booster(model_file=path)


def _expected_beside(path: Path) -> Path:
    return path.with_suffix(".expected.npy")


def _by_lightgbm(booster: lgb.Booster, features: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
    threads = threads if len(features) >= _PAYS_FOR_THREADS else 1
    raw = booster.predict(features, raw_score=True, num_threads=threads)
    return np.asarray(raw, dtype=np.float64).reshape(len(features), -1)


def _drawn(ensemble: TreeEnsemble, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Customers to check on, always the same: at thresholds, next to them, and with odd values."""
    drawn = np.random.default_rng(0)
    customers = np.zeros((_CHECKED_ROWS, max(columns, default=-1) + 1), dtype=np.float32)
    odd = np.array([0, np.nan, np.inf, -np.inf, _NEXT_TO_ZERO, -_NEXT_TO_ZERO, 1e-36, -1e-36], dtype=np.float32)
    column_of_cut = np.repeat(np.arange(len(ensemble.features)), np.diff(ensemble.cut_starts))
    for feature in np.unique(ensemble.features):
        cuts = ensemble.cuts[ensemble.features[column_of_cut] == feature]
        near = np.concatenate([cuts, np.nextafter(cuts, np.float32(np.inf)), np.nextafter(cuts, np.float32(-np.inf))])
        few = drawn.random(_CHECKED_ROWS) < 0.25
        customers[:, feature] = np.where(few, drawn.choice(odd, _CHECKED_ROWS), drawn.choice(near, _CHECKED_ROWS))
    return customers


def _check(ensemble: TreeEnsemble, expected: NDArray[np.float64], columns: NDArray[np.int64]) -> None:
    """Raise when the ensemble says something else of the drawn customers than LightGBM, which says `expected`."""
    customers = _drawn(ensemble, columns)
    scores = ensemble.raw_scores(customers)
    differ = int((scores != expected).any(axis=1).sum()) if scores.shape == expected.shape else len(customers)
    if differ or (ensemble.raw_scores(customers[:1]) != expected[:1]).any():
        raise NotRepresentable(f"its trees, laid out, score {differ} of {_CHECKED_ROWS} drawn customers differently")


class Tree(NamedTuple):
    """A tree as LightGBM writes it, splits numbered from the root on.

    Attributes
    ----------
    readings : what each split reads, ``feature << 3 | missing_type << 1 | goes_left``
    thresholds : of each split; what exceeds it goes right
    masks : of each split; the leaves, from the left, that remain to what goes right
    leaves : values, from the left
    children : (left, right) of each split: a split, or below 0 the complement of a leaf's number in `leaf_counts`
    split_counts, leaf_counts : training rows in each split and leaf; empty where the text does not say
    """

    readings: list[int]
    thresholds: list[float]
    masks: list[int]
    leaves: list[float]
    children: list[tuple[int, int]]
    split_counts: list[int]
    leaf_counts: list[int]


def text_of(booster: lgb.Booster | str) -> str:
    """A booster as LightGBM writes it."""
    return booster if isinstance(booster, str) else booster.model_to_string()


def feature_count(model: str) -> int:
    """Features that the booster of this text was fitted on."""
    return int(_head(model)["max_feature_idx"]) + 1


def parsed(model: str) -> tuple[int, list[Tree]]:
    """Classes, and trees in the order of boosting."""
    _, *sections = model.split("\nTree=")
    head = _head(model)
    if "average_output" in head:
        raise NotRepresentable("its trees are averaged")
    return int(head["num_tree_per_iteration"]), [_tree(dict(_fields(section))) for section in sections]


def _head(model: str) -> dict[str, str]:
    """What the text says before the first tree; of a word alone, nothing."""
    lines = model[: model.index("\nTree=")].splitlines() if "\nTree=" in model else model.splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _fields(section: str) -> Iterator[tuple[str, str]]:
    for line in section.splitlines()[1:]:
        name, separator, value = line.partition("=")
        if not separator:
            return
        yield name, value


def _tree(fields: dict[str, str]) -> Tree:
    n_leaves = int(fields["num_leaves"])
    if int(fields["num_cat"]):
        raise NotRepresentable("it splits on categories")
    if int(fields.get("is_linear", "0")):
        raise NotRepresentable("its leaves are linear models")
    if n_leaves > MAX_LEAVES:
        raise NotRepresentable(f"a tree has {n_leaves} leaves, more than {MAX_LEAVES}")
    values = [float(value) for value in fields["leaf_value"].split()]
    if n_leaves == 1:
        return Tree([], [], [], values[:1], [], [], [])
    features, decisions, left, right = (
        [int(value) for value in fields[name].split()]
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    masks, order = [0] * len(features), []

    def walk(node: int) -> None:
        if node < 0:
            order.append(~node)
            return
        first = len(order)
        walk(left[node])
        masks[node] = int(_ALL_LEAVES) ^ ((1 << len(order)) - (1 << first))
        walk(right[node])

    walk(0)
    # decision_type: bit 0 categorical, bit 1 missing goes left, bits 2 and 3 missing type
    readings = [
        feature << 3 | (decision >> 2 & 3) << 1 | (decision >> 1 & 1)
        for feature, decision in zip(features, decisions, strict=True)
    ]
    thresholds = [float(value) for value in fields["threshold"].split()]
    split_counts, leaf_counts = (
        [int(value) for value in fields.get(name, "").split()] for name in ("internal_count", "leaf_count")
    )
    children = list(zip(left, right, strict=True))
    return Tree(readings, thresholds, masks, [values[leaf] for leaf in order], children, split_counts, leaf_counts)


def columns_of(
    readings: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Of each reading: the feature, what stands in for a missing value, and whether 0 is missing."""
    feature, missing_type, goes_left = readings >> 3, (readings >> 1) & 3, readings & 1
    missing_as = np.where(missing_type == _NO_MISSING, 0.0, np.where(goes_left == 1, -np.inf, np.nan))
    return feature, missing_as.astype(np.float32), missing_type == _ZERO_IS_MISSING


def rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The highest float32 not above each threshold: a float32 exceeds both or neither."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _narrowest(masks: NDArray[np.uint64], n_leaves: int) -> NDArray[np.unsignedinteger]:
    """The lowest `n_leaves` bits of `masks`, at least."""
    bits = next(bits for bits in (8, 16, 32, 64) if n_leaves <= bits)
    return masks.astype(f"uint{bits}")


def starts(lengths: list[int]) -> NDArray[np.uint32]:
    """Where each of some lists begins when they stand one after the other, and where the last ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.uint32)


@intrinsic
def _lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
    """Position of the lowest set bit, by the processor's own instruction."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], cgutils.true_bit)

    return mask(mask), generate


@kernel(inline="always")
def read(value, missing_as, zero_is_missing):  # type: ignore[no-untyped-def]
    """A value as a split sees it."""
    if abs(value) <= _NEXT_TO_ZERO:
        value = np.float32(0)
    if value != value or (zero_is_missing and value == 0):
        value = missing_as
    return value


# "not (value <= cut)", for a NaN that stands for a missing value goes right; unsigned indices, for they need no check


@kernel
def _score_singly(features, trees, scores):  # type: ignore[no-untyped-def]
    columns, class_starts, splits, leaf_starts, leaves = trees
    sources, missing_as, zero_is_missing, cut_starts, cuts = columns
    split_starts, split_columns, split_bins, split_masks = splits
    bins = np.empty(len(sources), np.int64)
    for row in range(len(features)):
        for column in range(len(sources)):
            value = read(features[row, sources[column]], missing_as[column], zero_is_missing[column])
            exceeded = np.uint32(0)
            for cut in range(cut_starts[column], cut_starts[column + 1]):
                exceeded += np.uint32(not (value <= cuts[cut]))
            bins[column] = exceeded
        for k in range(len(class_starts) - 1):
            total = 0.0
            for tree in range(class_starts[k], class_starts[k + 1]):
                remaining = _ALL_LEAVES
                for split in range(split_starts[tree], split_starts[tree + 1]):
                    # all bits where the bin is not exceeded, by the sign: a branch here would be guessed wrong
                    below = (bins[split_columns[split]] - np.int64(split_bins[split]) - 1) >> 63
                    remaining &= split_masks[split] | np.uint64(below)
                total += leaves[np.uint64(leaf_starts[tree]) + _lowest_bit(remaining)]
            scores[row, k] = total


@kernel(inline="always")
def _score_tile(size, here, start, features, trees, scores):  # type: ignore[no-untyped-def]
    """Rows from `start`: `size` side by side, a constant, so that loops over them are unrolled, of which `here` count.

    Where that are more than there are, the last one repeats.
    """
    columns, class_starts, splits, leaf_starts, leaves = trees
    sources, missing_as, zero_is_missing, cut_starts, cuts = columns
    split_starts, split_columns, split_bins, split_masks = splits
    last = len(features) - 1
    values = np.zeros(size, np.float32)
    bins = np.zeros((len(sources), size), np.uint8)
    remaining = np.empty(size, split_masks.dtype)
    every = ~split_masks.dtype.type(0)
    totals = np.empty(size, np.float64)
    for column in range(len(sources)):
        # fetched apart from being read: only what lies side by side is read many at a time
        for row in range(here):
            values[row] = features[np.uint64(min(start + row, last)), sources[column]]
        missing, zero = missing_as[column], zero_is_missing[column]
        for row in range(size):
            values[row] = read(values[row], missing, zero)
        exceeded = bins[column]
        for cut in range(cut_starts[column], cut_starts[column + 1]):
            threshold = cuts[cut]
            for row in range(size):
                exceeded[row] += np.uint8(not (values[row] <= threshold))
    for k in range(len(class_starts) - 1):
        totals[:] = 0.0
        for tree in range(class_starts[k], class_starts[k + 1]):
            remaining[:] = every
            for split in range(split_starts[tree], split_starts[tree + 1]):
                mine, highest, mask = bins[split_columns[split]], split_bins[split], split_masks[split]
                for row in range(size):
                    remaining[row] &= mask if mine[row] > highest else every
            first = np.uint64(leaf_starts[tree])
            for row in range(here):
                totals[row] += leaves[first + np.uint64(_lowest_bit(remaining[row]))]
        for row in range(min(here, len(features) - start)):
            scores[start + row, k] = totals[row]


@kernel
def _score_few(features, trees, scores):  # type: ignore[no-untyped-def]
    for start in range(0, len(features), _SMALL_TILE):
        _score_tile(_SMALL_TILE, min(_SMALL_TILE, len(features) - start), start, features, trees, scores)


@kernel
def score_trees(features, trees, scores):  # type: ignore[no-untyped-def]
    """Write the raw scores by `TreeEnsemble.arguments` into `scores`, float64, shape (n_customers, n_classes)."""
    if len(features) <= _SINGLY:
        _score_singly(features, trees, scores)
    else:
        _score_few(features, trees, scores)


@kernel
def _score_whole_tile(start, features, trees, scores):  # type: ignore[no-untyped-def]
    _score_tile(_TILE, _TILE, start, features, trees, scores)


@kernel(parallel=True)
def _score_many(features, trees, scores):  # type: ignore[no-untyped-def]
    columns, class_starts, splits, leaf_starts, leaves = trees
    for tile in prange((len(features) + _TILE - 1) // _TILE):
        _score_whole_tile(tile * _TILE, features, (columns, class_starts, splits, leaf_starts, leaves), scores)
