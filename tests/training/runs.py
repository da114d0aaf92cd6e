"""What tests of the jobs share: settings, a bundle's content, scripts in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.training.banks import light
from training import (
    CHAMPION,
    EvaluationConfig,
    Tracking,
)
from training.bundle import MANIFEST

QUICK = EvaluationConfig(resamples=40)
WORTHLESS = light(models=("popularity",), popularity={"shrinkage": 1e12})
"""A model for which all products are alike, so that it ranks them by their ids."""

PROJECT = Path(__file__).parents[2]


def folder_of(workspace):
    return Tracking(workspace).version(CHAMPION).folder


def contents(folder):
    """Every file of a bundle but what its manifest says of where it comes from."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads(found.pop(MANIFEST))
    for name in ("build_id", "fingerprints"):
        manifest.pop(name)
    manifest["hashes"].pop(MANIFEST)
    return found, manifest


def run_script(script, *arguments):
    """A script in a process of its own, by its path from this folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MLFLOW")) and k != "CI"}
    return subprocess.run(
        [sys.executable, str(PROJECT / "tests" / "training" / script), *map(str, arguments)],
        capture_output=True, text=True, env=inherited | {"PYTHONPATH": str(PROJECT)}, check=False,
    )  # fmt: skip
