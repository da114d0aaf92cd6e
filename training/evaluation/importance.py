"""Permutation importance: how much worse a model ranks on held-out data when it is told what is true of somebody else.

Within one date, and among customers of the same kind, columns are taken from other customers (Breiman 2001, but with
donors from everybody asked about, as those who acquire are not typical). Related columns are exchanged together, first
whole families, then groups, then the columns of the groups that matter most: of two columns that say the same, neither
seems to matter alone. Only rows with an acquisition need scoring: all others are worth 0, whatever is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from features import CustomerBlock, CustomerStates, feature_set_of
from features.errors import NotReady
from features.families import Beside, FeatureFamily

from ..ranking import top_k
from .evaluator import EvaluationBatch, Scorer
from .intervals import BootstrapInterval, resample
from .metrics import average_precision_at_k

TOP_GROUPS = 5
"""Groups that matter most, whose columns are also exchanged one by one."""

MOST_COLUMNS = 60
"""Columns of a group that are exchanged one by one, at most: those that vary most often."""

_DONORS = 4  # for each row that is scored, as far as there are so many customers
_ONE = np.uint64(1)


class Level(StrEnum):
    """How much was exchanged at once."""

    FAMILY = "family"
    GROUP = "group"
    FEATURE = "feature"


@dataclass(frozen=True)
class ExchangedUnit:
    """What is exchanged together.

    Attributes
    ----------
    columns : of the feature block
    beside : also what models read beside the features
    """

    name: str
    level: Level
    family: str
    columns: tuple[int, ...]
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True)
class UnitImportance:
    """Share of the model's MAP@k that is lost; the interval is over customers."""

    name: str
    level: Level
    family: str
    columns: int
    lost: BootstrapInterval


@dataclass(frozen=True)
class Importance:
    """What a model lives on.

    Attributes
    ----------
    model, metric : whose, by what
    rows, repeats : rows with an acquisition that were scored, permutations of each unit
    units : families, then groups, then features, each by descending loss
    """

    model: str
    metric: str
    rows: int
    repeats: int
    units: tuple[UnitImportance, ...]

    def at(self, level: Level) -> tuple[UnitImportance, ...]:
        """The units of one level, by descending loss."""
        return tuple(unit for unit in self.units if unit.level == level)


def permutation_importance(
    batches: Callable[[], Iterable[EvaluationBatch]],
    scorer: Scorer,
    states: CustomerStates,
    *,
    model: str,
    k: int,
    rows: int,
    repeats: int,
    seed: int,
    resamples: int,
    progress: Progress | None = None,
) -> Importance:
    """Exchange families, groups, and the features of the top groups.

    Parameters
    ----------
    batches : gives the rows to be judged on, anew at each call
    rows : with an acquisition, at most; of more, so many are drawn
    k : of MAP@k

    Raises
    ------
    NotReady : when nobody acquired anything
    """
    sample = list(_sampled(batches, rows, np.random.default_rng(seed)))
    if not sample:
        raise NotReady("nobody acquired anything on the dates kept for tests: no feature can be told to matter")
    units = _units(states)
    task = progress.add_task("Permuting features", total=len(units)) if progress else None
    clusters = np.concatenate([part.clusters for part in sample])
    whole = np.concatenate([part.values(scorer, part.block, k) for part in sample])

    def measure(chosen: list[ExchangedUnit]) -> list[UnitImportance]:
        found = []
        for unit in chosen:
            lost = np.zeros_like(whole)
            for repeat in range(repeats):
                lost += whole - np.concatenate([part.exchanged(scorer, unit, k, repeat) for part in sample])
            drawn = resample(
                np.stack([lost / repeats, whole], axis=1), clusters, clusters, seed=seed, resamples=resamples
            )
            found.append(
                UnitImportance(unit.name, unit.level, unit.family, len(unit.columns), drawn.ratio(0, 1).interval())
            )
            if progress and task is not None:
                progress.advance(task)
        return sorted(found, key=lambda unit: (-unit.lost.value, unit.name))

    families = measure([unit for unit in units if unit.level is Level.FAMILY])
    groups = measure([unit for unit in units if unit.level is Level.GROUP])
    singles = _singles(states, [unit for unit in groups if unit.columns > 1 and unit.lost.low > 0][:TOP_GROUPS], sample)
    if progress and task is not None:
        progress.update(task, total=len(units) + len(singles))
    features = measure(singles)
    return Importance(model, f"map@{k}", len(clusters), repeats, (*families, *groups, *features))


@dataclass(frozen=True)
class _Sample:
    """Rows with an acquisition of one date, and the donors of each repeat.

    Attributes
    ----------
    block, donors : the rows, and customers of the same date to take from; both with their features computed
    acquired : bool, shape (n_rows, n_products)
    clusters : int64, shape (n_rows,)
    seed : of who takes from whom
    """

    block: CustomerBlock
    donors: CustomerBlock
    acquired: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    seed: int

    def exchanged(self, scorer: Scorer, unit: ExchangedUnit, k: int, repeat: int) -> NDArray[np.float64]:
        """AP@k of each row when it has the donors' values of `unit`."""
        givers = self._givers(repeat)
        features = self.block.features.copy()
        columns = np.array(unit.columns, dtype=np.int64)
        features[:, columns] = self.donors.features[givers][:, columns]
        block = self.block
        if Beside.HOLDINGS in unit.beside:
            words = self.donors.words[givers]
            # what is asked about stays not held
            block = replace(block, words=np.where(block.candidates, words & ~_ONE, words))
        if Beside.SEGMENT in unit.beside:
            block = replace(block, segments=self.donors.segments[givers])
        if block is self.block:
            block = replace(block)
        block.__dict__["features"] = features
        return self.values(scorer, block, k)

    def values(self, scorer: Scorer, block: CustomerBlock, k: int) -> NDArray[np.float64]:
        """AP@k of each row."""
        return average_precision_at_k(top_k(scorer(block), block.candidates, k), self.acquired, k)

    def _givers(self, repeat: int) -> NDArray[np.int64]:
        """A donor of the same kind for each row; the row itself where there is no other."""
        generator = np.random.default_rng([self.seed, repeat])
        kinds, theirs = self.block.kinds, self.donors.kinds
        givers = np.zeros(len(kinds), dtype=np.int64)
        for kind in np.unique(kinds):
            mine = kinds == kind
            givers[mine] = generator.choice(np.flatnonzero(theirs == kind), int(mine.sum()))
        return givers


def _sampled(
    batches: Callable[[], Iterable[EvaluationBatch]], rows: int, generator: np.random.Generator
) -> Iterator[_Sample]:
    """At most about `rows` rows with an acquisition, with donors; features are computed of these alone."""
    total = sum(int(batch.batch.acquired.any(axis=1).sum()) for batch in batches())
    share = min(1.0, rows / max(total, 1))
    for number, batch in enumerate(batches()):
        active = np.flatnonzero(batch.batch.acquired.any(axis=1))
        active = active[generator.random(len(active)) < share]
        if not len(active):
            continue
        everyone = batch.batch.block.n_customers
        others = generator.choice(everyone, min(everyone, _DONORS * len(active)), replace=False)
        block = batch.batch.block.take(active)
        donors = batch.batch.block.take(np.union1d(others, active))
        yield _Sample(block, donors, batch.batch.acquired[active], batch.clusters[active], number)


def _units(states: CustomerStates) -> list[ExchangedUnit]:
    """Every family and every group; what models read beside a family's features comes with it, and as a group too."""
    groups = _groups(states)
    families: dict[FeatureFamily, list[int]] = {}
    for (family, _), columns in groups.items():
        families.setdefault(family, []).extend(columns)
    return [
        *(
            ExchangedUnit(family.name, Level.FAMILY, family.name, tuple(columns), family.beside)
            for family, columns in families.items()
        ),
        *(ExchangedUnit(name, Level.GROUP, family.name, tuple(columns)) for (family, name), columns in groups.items()),
        *(
            ExchangedUnit(f"{beside}, beside the features", Level.GROUP, family.name, (), (beside,))
            for family in families
            for beside in family.beside
        ),
    ]


def _groups(states: CustomerStates) -> dict[tuple[FeatureFamily, str], list[int]]:
    """The columns of each group of features of a family, in order."""
    groups: dict[tuple[FeatureFamily, str], list[int]] = {}
    column = 0
    for family in feature_set_of(states).families:
        for feature in family.features:
            groups.setdefault((family, feature.group), []).append(column)
            column += 1
    return groups


def _singles(states: CustomerStates, groups: list[UnitImportance], sample: list[_Sample]) -> list[ExchangedUnit]:
    """The columns of `groups`, each alone."""
    names = feature_set_of(states).names
    of_groups = {(family.name, group): columns for (family, group), columns in _groups(states).items()}
    singles = []
    for group in groups:
        columns = of_groups[group.family, group.name]
        varied = {column: sum(_variety(part.donors.features[:, column]) for part in sample) for column in columns}
        kept = sorted(columns, key=lambda column: (-varied[column], column))[:MOST_COLUMNS]
        singles += [ExchangedUnit(names[column], Level.FEATURE, group.family, (column,)) for column in sorted(kept)]
    return singles


def _variety(column: NDArray[np.float32]) -> int:
    """How many rows differ from the most common value."""
    _, counts = np.unique(column, return_counts=True)
    return int(counts.sum() - counts.max())
