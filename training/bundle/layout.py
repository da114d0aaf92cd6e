"""Keeps a model usable when the bank moves on: new products, new texts, new features.

A model knows columns by position. The layout it was fitted on names them, so that blocks of later states can be
laid out the same way: what the model does not know is left out, what is gone is missing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features import Catalogue, CustomerBlock, CustomerStates, feature_set_of
from features.contracts import TIER
from features.errors import BadInput
from features.states.segments import retiered


@dataclass(frozen=True)
class Layout:
    """What the columns of a fit meant.

    Attributes
    ----------
    frequency : length of a period
    products, features : ids and names, in order of position
    vocabularies : the texts behind the codes of each text column of customers
    """

    frequency: str
    products: tuple[str, ...]
    features: tuple[str, ...]
    vocabularies: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, states: CustomerStates) -> Layout:
        """The layout of `states`."""
        coded = {TIER, *(feature.vocabulary for feature in feature_set_of(states).features)}
        used = {name: words for name, words in states.profile.vocabularies.items() if name in coded}
        return cls(states.manifest.frequency, states.catalogue.product_ids, feature_set_of(states).names, used)

    def align(self, block: CustomerBlock) -> CustomerBlock:
        """`block` with this layout's columns.

        Raises
        ------
        BadInput : when the states count in other periods
        """
        if Layout.of(block.states) == self:
            return block
        if block.states.manifest.frequency != self.frequency:
            raise BadInput(
                f"the model was trained on periods of a {self.frequency} and the states count in periods of a "
                f"{block.states.manifest.frequency}: train again"
            )
        here = _positions(block.states.catalogue.product_ids, self.products)
        aligned = replace(
            block,
            words=_columns(block.words, here, np.uint64(0)),
            candidates=_columns(block.candidates, here, False),
            segments=retiered(block.segments, block.states.profile.vocabularies[TIER], self.vocabularies.get(TIER, ())),
        )
        aligned.__dict__["features"] = self._features(block)
        return aligned

    def positions_of(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """Shape (len(catalogue),): where this layout has each product; -1: nowhere."""
        return _positions(self.products, catalogue.product_ids)

    def restore(self, scores: NDArray[np.float32], block: CustomerBlock) -> NDArray[np.float32]:
        """Scores by this layout's products, as columns of the block's products; 0 for what the layout lacks."""
        theirs = block.states.catalogue.product_ids
        if theirs == self.products:
            return scores
        return _columns(scores, _positions(self.products, theirs), np.float32(0))

    def _features(self, block: CustomerBlock) -> NDArray[np.float32]:
        features = _columns(block.features, _positions(block.feature_set.names, self.features), np.nan)
        coded = {feature.name: feature.vocabulary for feature in feature_set_of(block.states).features}
        for column, name in enumerate(self.features):
            vocabulary = coded.get(name) or name
            words = self.vocabularies.get(vocabulary)
            theirs = block.states.profile.vocabularies.get(vocabulary, ())
            if words is None or words == theirs:
                continue
            translation = np.array([*(words.index(w) if w in words else np.nan for w in theirs), np.nan])
            codes = features[:, column]
            known = ~np.isnan(codes)
            features[known, column] = translation[codes[known].astype(np.int64)]
        return features.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Layout:
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            content["frequency"],
            tuple(content["products"]),
            tuple(content["features"]),
            {name: tuple(words) for name, words in content["vocabularies"].items()},
        )


def _positions(available: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int64]:
    index = {name: position for position, name in enumerate(available)}
    return np.array([index.get(name, -1) for name in wanted], dtype=np.int64)


def _columns(array: NDArray, positions: NDArray[np.int64], missing: object) -> NDArray:
    """Columns of `array` at `positions`; those at -1 filled with `missing`."""
    chosen = array[:, np.maximum(positions, 0)].copy()
    chosen[:, positions < 0] = missing
    return chosen
