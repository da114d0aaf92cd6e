"""The bundle: all that serving needs of a training run, in one folder, checked by hash when it is opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from features import Catalogue, CustomerBlock, CustomerStates
from features.errors import BadInput, NotFound
from features.files import AnyPath
from features.kernels import kernel

from ..explanations.contributions import Contributions, Terms
from ..models import MODELS, AssociationRules, Model, Propensity
from ..models.association_rules import Rule
from ..probabilities.blend import BLEND, Blend, CalibratedBlend, conditioned, given_buyable
from ..probabilities.calibration import ProductCalibration, Scale, log_odds_of, probabilities_of
from ..probabilities.fallback import ENOUGH, Fallback
from ..uplift import LEARNERS, UpliftLearner
from .layout import Layout

FORMAT = 3
MANIFEST = "manifest.json"
UPLIFT = "uplift"

_NEXT_TO_NOTHING = 1e-15  # a propensity that serves is further from 0 and 1


@dataclass(frozen=True)
class BundleManifest:
    """What a bundle is made of.

    Attributes
    ----------
    selected : the model that serves
    models : every model fitted in the run; `selected` is one of them or the blend of them
    protocol : ``periods``, ``occasions`` or ``hide-one``
    horizon : periods within which an acquisition counts
    trained_to : the last period that training and validation have seen
    build_id : the states it was trained from
    seed : of the run
    """

    format: int
    selected: str
    models: tuple[str, ...]
    protocol: str
    horizon: int
    trained_to: int
    build_id: str
    fingerprints: dict[str, str]
    seed: int


class Bundle:
    """Fitted models with their calibrations and their blend, and the layout of customers and products of the fit.

    Attributes
    ----------
    rules : what explains in words; there if the run fitted association rules, whatever serves
    """

    def __init__(
        self,
        manifest: BundleManifest,
        catalogue: Catalogue,
        layout: Layout,
        models: dict[str, Model],
        calibrations: dict[str, ProductCalibration],
        fallback: Fallback,
        blend: Blend | None = None,
        uplift: UpliftLearner | None = None,
        rules: AssociationRules | None = None,
    ) -> None:
        self.manifest = manifest
        self.catalogue = catalogue
        self.layout = layout
        self.models = models
        self.calibrations = calibrations
        self.fallback = fallback
        self.blend = blend
        self.uplift = uplift
        fitted = models.get(AssociationRules.name)
        self.rules = fitted if isinstance(fitted, AssociationRules) else rules
        self._view: _CatalogueView | None = None
        self._scored: _Scored | None = None
        self._familiar: ref[CustomerStates] | None = None

    def propensities(self, block: CustomerBlock, model: str | None = None) -> NDArray[np.float32]:
        """Calibrated probability of acquisition within the horizon.

        Parameters
        ----------
        model : which model; by default the selected one

        Returns
        -------
        float32, shape (n_customers, n_products), columns as in the block's states; 0 for what is not a candidate. Of
        products that the bundle does not know, or that were hardly acquired, it is what `fallback` says.
        """
        name = self._name(model)
        aligned = self._align(block)
        found = calibrated = self._calibrated(name, aligned)
        if aligned is not block:
            found = self.layout.restore(found, block)
        found = self.fallback.mix(found, block.states.catalogue, aligned.segments)
        if name == BLEND:
            found = given_buyable(found, block)
            if found is calibrated:  # of what is no candidate, 0 already
                return found
        return np.where(block.candidates, found, np.float32(0))

    def effects(self, block: CustomerBlock) -> NDArray[np.float32] | None:
        """What a contact changes.

        Returns
        -------
        float32, shape (n_customers, n_products), columns as in the block's states; change in the probability of
        acquisition within the horizon, 0 for what is not a candidate; of a product that the bundle does not know, what
        is usual for its propensity. None where there were too few contacts with a control arm to learn from.
        """
        if self.uplift is None:
            return None
        return self.uplift.effects_of(
            self._align(block).features,
            block.candidates,
            self.layout.positions_of(block.states.catalogue),
            self.propensities(block),
        )

    def contributions(
        self, block: CustomerBlock, products: NDArray[np.int32] | NDArray[np.int64], model: str | None = None
    ) -> Contributions:
        """Why the propensities of some products are what they are.

        Contributions of features are those of the propensity model; every other model, selected or part of the blend,
        contributes as a whole, relative to the product's overall rate of acquisition. Where products like it are mixed
        in, the difference they make is `fallback`; a product of which nothing is known has nothing else. That it is
        known what can be bought is part of `alternatives`.

        Parameters
        ----------
        products : shape (n_customers, k); positions in the block's catalogue; -1: nothing. What is not a candidate is
            not explained either
        model : which model; by default the selected one

        Returns
        -------
        Contributions, features by the columns of ``block.states.feature_set``; see `Propensity.contributions` for size

        Raises
        ------
        BadInput : when `products` are not positions of products, a row for each customer
        """
        name = self._name(model)
        view, aligned = self._view_of(block.states.catalogue), self._align(block)
        asked = view.asked(products, block)
        terms = self._explained(name, aligned, asked.places)
        if asked.some_unknown:
            terms = terms.only(view.acquisitions[asked.products] > 0)
        found = terms.summed_up(len(self.layout.features))
        if aligned is not block:
            found = found.laid_out(self.layout.features, block.feature_set.names)
        if asked.some_hardly_known:
            found = self._mixed(found, block, aligned.segments, asked.products)
        if name == BLEND and block.availability is not None:
            rows = np.arange(block.n_customers)[:, None]
            bought = conditioned(probabilities_of(found.log_odds), block.availability[rows, asked.products])
            log_odds = np.where(asked.products >= 0, log_odds_of(bought, _NEXT_TO_NOTHING), 0.0)
            found = found.moved("alternatives", log_odds)
        return found

    def _mixed(
        self,
        found: Contributions,
        block: CustomerBlock,
        segments: NDArray[np.int32],
        products: NDArray[np.int64],
    ) -> Contributions:
        """`found` once products like those that do not stand on their own are mixed in."""
        acquisitions = self._view_of(block.states.catalogue).acquisitions[products]
        hardly_known = (products >= 0) & (acquisitions < ENOUGH)
        said = np.zeros((block.n_customers, block.n_products), dtype=np.float32)
        said[np.nonzero(hardly_known)[0], products[hardly_known]] = probabilities_of(found.log_odds[hardly_known])
        mixed = self.fallback.mix(said, block.states.catalogue, segments)[np.arange(len(products))[:, None], products]
        return found.moved("fallback", np.where(hardly_known, log_odds_of(mixed, _NEXT_TO_NOTHING), found.log_odds))

    def evidence(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """How often each product of `catalogue` was acquired, as far as the bundle knows; shape (n_products,)."""
        return self._view_of(catalogue).acquisitions[:-1].copy()

    def strongest_rules(
        self, block: CustomerBlock, products: NDArray[np.int32] | NDArray[np.int64]
    ) -> StrongestRules | None:
        """The rules that say most for some products, given what each customer holds; None where the run fitted none.

        Parameters
        ----------
        products : as of `contributions`
        """
        if self.rules is None:
            return None
        view, words = self._view_of(block.states.catalogue), block.words
        if not view.is_layout:
            known = np.zeros((block.n_customers, self.rules.n_products + 1), dtype=np.uint64)
            known[:, view.places[:-1]] = words
            words = known[:, :-1]
        antecedents, lifts = self.rules.strongest(words, view.places[products])
        return StrongestRules(antecedents, lifts, products, self.rules, view)

    def prepare_explanations(self) -> None:
        """Lay out what contributions are read from; else the first ones of each kind of customers do, in their time."""
        for model in self.models.values():
            if isinstance(model, Propensity):
                model.prepare_contributions()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that gives propensities: the models, and the blend of them if there is one."""
        return (*self.models, BLEND) if self.blend else tuple(self.models)

    def _calibrated(self, name: str, aligned: CustomerBlock) -> NDArray[np.float32]:
        """Shape (n_customers, n_products), as the layout has them; of what is no candidate the blend says 0, a model
        something without meaning."""
        if self.blend is None or name != BLEND:
            return self.calibrations[name].apply(self._scores(name, aligned))
        scores = np.empty((len(self.blend.weights), *aligned.candidates.shape), dtype=np.float32)
        for place, part in enumerate(self.blend.weights):
            scores[place] = self._scores(part, aligned)
        return self._calibrated_blend.propensities(scores, aligned.candidates)

    @cached_property
    def _calibrated_blend(self) -> CalibratedBlend:
        assert self.blend is not None
        return CalibratedBlend.of(self.blend, self.calibrations)

    def _scores(self, name: str, aligned: CustomerBlock) -> NDArray[np.float32]:
        """What a model says of a block. Of the last block it is kept: who decides asks next why it is so.

        Not what the propensity model says, of which contributions need more than scores.
        """
        model = self.models[name]
        if isinstance(model, Propensity):
            return model.score(aligned)
        scored = self._scored
        if scored is None or scored.block() is not aligned:
            scored = self._scored = _Scored(ref(aligned), {})
        if name not in scored.scores:
            scored.scores[name] = model.score(aligned)
        return scored.scores[name]

    def _align(self, block: CustomerBlock) -> CustomerBlock:
        """`block` with the layout's columns; states found to have them are not compared with it again."""
        if self._familiar is not None and self._familiar() is block.states:
            return block
        aligned = self.layout.align(block)
        if aligned is block:
            self._familiar = ref(block.states)
        return aligned

    def _explained(self, name: str, aligned: CustomerBlock, places: NDArray[np.int64]) -> Terms:
        """Before products like it are mixed in; `places` are positions in the layout, -1: nothing, anything goes."""
        if self.blend is not None and name == BLEND:
            parts = {part: self._explained(part, aligned, places) for part in self.blend.weights}
            found = Terms.pooled(parts, self.blend.weights)
            calibration = self.blend.calibration
            if calibration.scale is Scale.LOG_ODDS:
                return found.calibrated(calibration, places)
            scores: NDArray[np.float32]
            scores = np.zeros((len(places), len(self._overall) + 1), dtype=np.float32)  # the last one: of nothing
            scores[np.arange(len(places))[:, None], places] = probabilities_of(found.log_odds)
        else:
            model, calibration = self.models[name], self.calibrations[name]
            if isinstance(model, Propensity) and calibration.scale is Scale.LOG_ODDS:
                return Terms.of(model.contributions(aligned, places)).calibrated(calibration, places)
            scores = self._scores(name, aligned)
        return Terms.of_model(name, scores, calibration, self._overall, places)

    @cached_property
    def _overall(self) -> NDArray[np.float64]:
        """Log-odds of each product's overall rate of acquisition, shape (n_products,), as the layout has them."""
        return log_odds_of(self.fallback.overall())

    def _view_of(self, catalogue: Catalogue) -> _CatalogueView:
        view = self._view
        if view is None or view.catalogue is not catalogue:
            # kept for the next block: whoever asks at the same time computes the same
            view = self._view = _CatalogueView.of(catalogue, self.layout, self.fallback)
        return view

    def _name(self, model: str | None) -> str:
        name = model or self.manifest.selected
        if name not in self.names:
            raise NotFound(f"the bundle has no model {name!r}; it has: {', '.join(sorted(self.names))}")
        return name

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must exist and be empty; the manifest, with the hashes, comes last."""
        self.catalogue.save(folder / "catalogue.json")
        self.layout.save(folder / "layout.json")
        self.fallback.save(folder / "fallback.npy")
        for name, model in self.models.items():
            (folder / "models" / name).mkdir(parents=True)
            model.save(folder / "models" / name)
            self.calibrations[name].save(folder / "models" / name / "calibration.npz")
        if self.blend is not None:
            (folder / BLEND).mkdir()
            self.blend.save(folder / BLEND)
        if self.uplift is not None:
            (folder / UPLIFT / self.uplift.name).mkdir(parents=True)
            self.uplift.save(folder / UPLIFT / self.uplift.name)
        content: dict[str, Any] = asdict(self.manifest)
        content["hashes"] = _hashes(folder) | {MANIFEST: _digest(content)}
        (folder / MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def open(cls, folder: AnyPath, *, only_selected: bool = False) -> Bundle:
        """Read what `save` wrote; with `only_selected`, of the models nothing but what serves, and `rules`.

        Raises
        ------
        BadInput : when a file is missing or is not what was written
        """
        folder = Path(folder)
        content = _checked(folder)
        manifest = BundleManifest(**content | {"models": tuple(content["models"])})
        names = manifest.models
        blend = Blend.load(folder / BLEND) if (folder / BLEND).is_dir() else None
        if only_selected and manifest.selected == BLEND and blend is not None:
            names = tuple(blend.weights)
        elif only_selected:
            names, blend = (manifest.selected,), None
        catalogue = Catalogue.load(folder / "catalogue.json")
        rules = AssociationRules.name
        explains = rules in manifest.models and rules not in names
        return cls(
            manifest,
            catalogue,
            Layout.load(folder / "layout.json"),
            {name: MODELS[name].load(folder / "models" / name) for name in names},
            {name: ProductCalibration.load(folder / "models" / name / "calibration.npz") for name in names},
            Fallback.load(folder / "fallback.npy", catalogue),
            blend,
            next((LEARNERS[path.name].load(path) for path in (folder / UPLIFT).glob("*")), None),
            AssociationRules.load(folder / "models" / rules) if explains else None,
        )


@dataclass(frozen=True)
class StrongestRules:
    """The rules that say most for some products, given what some customers hold; each is made when it is asked for.

    Attributes
    ----------
    antecedents : int64, shape (n_customers, k)
    lifts : float64, same shape; 1 where there is no rule, or the bundle does not know the product
    products : same shape; positions in the catalogue of `view`
    """

    antecedents: NDArray[np.int64]
    lifts: NDArray[np.float64]
    products: NDArray[np.int32] | NDArray[np.int64]
    rules: AssociationRules
    view: _CatalogueView

    def rule(self, row: int, place: int) -> Rule | None:
        """The one of a customer for a product, by the positions of the block's catalogue."""
        antecedent, product = self.antecedents.item(row, place), self.products.item(row, place)
        if antecedent < 0:
            return None
        return self.view.rules.get((antecedent, product)) or self.view.rule(self.rules, antecedent, product)


@dataclass(frozen=True)
class _CatalogueView:
    """What a bundle knows of the products of one catalogue.

    Attributes
    ----------
    places : int64, shape (n_products + 1,); positions in the bundle's layout; -1: not known, as what is at -1
    acquisitions : int64, same shape
    is_layout : whether the products are those of the layout, in its order
    rules : those that were said so far, by antecedent and product
    """

    catalogue: Catalogue
    places: NDArray[np.int64]
    acquisitions: NDArray[np.int64]
    is_layout: bool
    rules: dict[tuple[int, int], Rule] = field(default_factory=dict, repr=False)

    def asked(self, products: NDArray[np.int32] | NDArray[np.int64], block: CustomerBlock) -> _Asked:
        """What `Bundle.contributions` is to explain when it is asked about `products`."""
        if products.ndim != 2 or len(products) != block.n_customers:
            raise BadInput(f"products {products.shape} are not a row for each of {block.n_customers} customers")
        found, places = np.array(products, dtype=np.int64, order="C"), np.empty(products.shape, dtype=np.int64)
        wrong, *some = _look_up(found, block.candidates, self.places, self.acquisitions, places)
        if wrong:
            raise BadInput(f"products are positions from 0 to {block.n_products - 1}, or -1 for nothing")
        return _Asked(found, places, *some)

    @classmethod
    def of(cls, catalogue: Catalogue, layout: Layout, fallback: Fallback) -> _CatalogueView:
        acquisitions = [*(fallback.acquisitions(product_id) for product_id in catalogue.product_ids), 0]
        places = np.append(layout.positions_of(catalogue), -1)
        is_layout = catalogue.product_ids == layout.products
        return cls(catalogue, places, np.array(acquisitions, dtype=np.int64), is_layout)

    def rule(self, rules: AssociationRules, antecedent: int, product: int) -> Rule:
        """A rule by positions of the catalogue; kept for the next time."""
        rule = rules.rule(antecedent, self.places.item(product))
        places = self.places.tolist()
        held = tuple(sorted(places.index(place) for place in rule.held))
        rule = self.rules[antecedent, product] = replace(rule, held=held, product=product)
        return rule


class _Asked(NamedTuple):
    """Products to explain.

    Attributes
    ----------
    products : int64, shape (n_customers, k); those that are candidates, else -1
    places : int64, same shape; where the layout has them, else -1
    some_unknown : whether of some, or of -1, no acquisition is known
    some_hardly_known : whether some do not stand on their own
    """

    products: NDArray[np.int64]
    places: NDArray[np.int64]
    some_unknown: bool
    some_hardly_known: bool


@kernel
def _look_up(products, candidates, places, acquisitions, found):  # type: ignore[no-untyped-def]
    """Put -1 where a product is no candidate, and write its place into `found`; whether some are no positions, some
    were never acquired, some hardly ever."""
    unknown, hardly_known = False, False
    for row in range(products.shape[0]):
        for k in range(products.shape[1]):
            product = products[row, k]
            if product < -1 or product >= candidates.shape[1]:
                return True, unknown, hardly_known
            if product < 0 or not candidates[row, product]:
                product = -1
            products[row, k], found[row, k] = product, places[product]
            unknown |= acquisitions[product] == 0
            hardly_known |= product >= 0 and acquisitions[product] < ENOUGH
    return False, unknown, hardly_known


@dataclass(frozen=True)
class _Scored:
    """What models said of a block, by name."""

    block: ref[CustomerBlock]
    scores: dict[str, NDArray[np.float32]]


def manifest_of(
    states: CustomerStates,
    *,
    selected: str,
    models: tuple[str, ...],
    protocol: str,
    horizon: int,
    trained_to: int,
    seed: int,
) -> BundleManifest:
    """The manifest of a run on `states`."""
    return BundleManifest(
        format=FORMAT,
        selected=selected,
        models=models,
        protocol=protocol,
        horizon=horizon,
        trained_to=trained_to,
        build_id=states.manifest.build_id,
        fingerprints=states.manifest.fingerprints,
        seed=seed,
    )


def _checked(folder: Path) -> dict[str, Any]:
    """The manifest, without the hashes, of a bundle whose files are those that were written."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        hashes: dict[str, str] = content.pop("hashes")
        found = _hashes(folder) | {MANIFEST: _digest(content)}
        differing = {name for name in hashes.keys() | found.keys() if hashes.get(name) != found.get(name)}
        broken = sorted(differing, key=lambda name: (name != MANIFEST, name))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        broken = [MANIFEST]
    if broken or content["format"] != FORMAT:
        raise BadInput(
            f"the bundle in {folder} cannot be used: "
            + (f"missing or changed since it was written: {', '.join(broken[:5])}" if broken else "another format")
            + "; train again, or point the champion alias to another version"
        )
    return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
