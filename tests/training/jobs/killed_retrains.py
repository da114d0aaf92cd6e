"""Retrains copies of a workspace and kills each run at another moment, by SIGKILL, as a power cut would.

Run as a script: ``killed_retrains.py FOLDER``; FOLDER holds the copies, each named for the moment it is killed at.
One process imports everything once and forks a child for each of them.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# what the jobs import when they run, here once for all children
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

import features.build.building
import training.jobs.train
from tests.training.banks import light
from training.bundle import Layout
from training.tracking import Tracking


def _before(owner: object, name: str, call: int = 1) -> Callable[[], None]:
    """Dies instead of calling `name` for the time `call`."""

    def arm() -> None:
        original, calls = getattr(owner, name), []

        def dying(*arguments, **options):
            calls.append(1)
            if len(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        setattr(owner, name, dying)

    return arm


def _after(owner: object, name: str) -> Callable[[], None]:
    """Dies when `name` has done its work."""

    def arm() -> None:
        original = getattr(owner, name)

        def dying(*arguments, **options):
            original(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, dying)

    return arm


MOMENTS: dict[str, Callable[[], None]] = {
    "states packed and not in use": _before(features.build.building, "switch_to"),
    "states in use": _after(features.build.building, "switch_to"),
    "models fitted": _after(training.jobs.train, "fit_bundle"),
    "half of the bundle saved": _after(Layout, "save"),
    "bundle logged": _after(Tracking, "log_folder"),
    "run finished and not registered": _before(Tracking, "register"),
    "version made without an alias": _before(Tracking, "point", call=1),
    "compared and not promoted": _before(Tracking, "point", call=2),
}
SECONDS = (0.3, 0.8)


def _killed(workspace: Path, arm: Callable[[], None], seconds: float | None = None) -> bool:
    """Retrain in a child; whether it was killed."""
    child = os.fork()
    if child == 0:
        if seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal, unhandled, ends the process
        arm()
        training.jobs.train.retrain(workspace, training=light(models=("popularity",), margin=1.0))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(folder: Path) -> None:
    """Kill a retrain of every copy in `folder` and say which were."""
    for name, arm in MOMENTS.items():
        sys.stdout.write(f"{name}: {_killed(folder / name, arm)}\n")
    for seconds in SECONDS:
        sys.stdout.write(f"{seconds}: {_killed(folder / str(seconds), lambda: None, seconds)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
