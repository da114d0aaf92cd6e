"""The bundle: all that serving needs of a training run, in one folder, checked by hash when it is opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import Catalogue, CustomerBlock, CustomerStates
from features.errors import BadInput, NotFound

from .alignment import Layout
from .blend import BLEND, Blend, given_buyable
from .calibration import ProductCalibration
from .fallback import Fallback
from .models import MODELS, Model
from .uplift import LEARNERS, UpliftLearner

FORMAT = 2
MANIFEST = "manifest.json"
UPLIFT = "uplift"


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
    """Fitted models with their calibrations and their blend, and the layout of customers and products of the fit."""

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
    ) -> None:
        self.manifest = manifest
        self.catalogue = catalogue
        self.layout = layout
        self.models = models
        self.calibrations = calibrations
        self.fallback = fallback
        self.blend = blend
        self.uplift = uplift

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
        name = model or self.manifest.selected
        if name not in self.names:
            raise NotFound(f"the bundle has no model {name!r}; it has: {', '.join(sorted(self.names))}")
        aligned = self.layout.align(block)
        restored = self.layout.restore(self._calibrated(name, aligned), block)
        mixed = self.fallback.mix(restored, block.states.catalogue, aligned.segments)
        if name == BLEND:
            mixed = given_buyable(mixed, block)
        return np.where(block.candidates, mixed, np.float32(0))

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
            self.layout.align(block).features,
            block.candidates,
            self.layout.positions_of(block.states.catalogue),
            self.propensities(block),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that gives propensities: the models, and the blend of them if there is one."""
        return (*self.models, BLEND) if self.blend else tuple(self.models)

    def _calibrated(self, name: str, aligned: CustomerBlock) -> NDArray[np.float32]:
        if self.blend is not None and name == BLEND:
            return self.blend.propensities({part: self._calibrated(part, aligned) for part in self.blend.weights})
        return self.calibrations[name].apply(self.models[name].score(aligned))

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
    def open(cls, folder: Path, *, only_selected: bool = False) -> Bundle:
        """Read what `save` wrote; with `only_selected`, nothing but the model that serves.

        Raises
        ------
        BadInput : when a file is missing or is not what was written
        """
        content = _checked(folder)
        manifest = BundleManifest(**content | {"models": tuple(content["models"])})
        names = manifest.models
        blend = Blend.load(folder / BLEND) if (folder / BLEND).is_dir() else None
        if only_selected and manifest.selected == BLEND and blend is not None:
            names = tuple(blend.weights)
        elif only_selected:
            names, blend = (manifest.selected,), None
        catalogue = Catalogue.load(folder / "catalogue.json")
        return cls(
            manifest,
            catalogue,
            Layout.load(folder / "layout.json"),
            {name: MODELS[name].load(folder / "models" / name) for name in names},
            {name: ProductCalibration.load(folder / "models" / name / "calibration.npz") for name in names},
            Fallback.load(folder / "fallback.npy", catalogue),
            blend,
            next((LEARNERS[path.name].load(path) for path in (folder / UPLIFT).glob("*")), None),
        )


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
