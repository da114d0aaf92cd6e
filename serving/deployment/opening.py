"""Opens a model, states and policy together: those in use, those of a deployment, or those of a decision on record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from features import CustomerStates
from features.clock import Clock
from features.errors import NextProductError, NotFound
from features.states import MANIFEST as STATES_MANIFEST
from features.states import STATES_FOLDER, current_states
from training import CHAMPION, Bundle, Tracking
from training.bundle import MANIFEST as BUNDLE_MANIFEST
from training.tracking import Version

from ..answering.engine import DecisionEngine
from ..decisions.policy.check import check_policy
from ..decisions.policy.loading import LoadedPolicy, load_policy, policy_path
from .deployments import Deployment, Parts, current
from .policies import archived


class InUse(NamedTuple):
    """A deployment and what it is made of, opened together; it never changes."""

    deployment: Deployment
    engine: DecisionEngine


class Candidate(NamedTuple):
    """What a workspace names that has no deployment yet."""

    deployment: None
    engine: DecisionEngine


def open_in_use(workspace: Path, tracking_uri: str | None, clock: Clock) -> InUse | Candidate:
    """What decides in `workspace`: the deployment in use or, before the first, what the workspace names.

    Raises
    ------
    NotReady : when states or champion are missing
    NotFound : saying which part of the deployment is gone
    BadConfiguration : when the policy cannot be used with these states, saying where and why
    BadInput : when deployment, model or policy are not what was written
    """
    deployment = current(workspace)
    if deployment is not None:
        return open_deployment(workspace, deployment, tracking_uri, clock)
    states = current_states(workspace)
    version = Tracking(workspace, tracking_uri).version(CHAMPION)
    policy = load_policy(policy_path(workspace))
    check_policy(policy, states, clock.today())
    return Candidate(None, DecisionEngine(states, open_bundle(version), version.number, policy, clock))


def open_deployment(
    workspace: Path,
    deployment: Deployment,
    tracking_uri: str | None,
    clock: Clock,
    share: InUse | None = None,
) -> InUse:
    """A deployment, opened.

    Parameters
    ----------
    share : one that is open already; what both have in common is the same object in both

    Raises
    ------
    NotFound : saying which part is gone
    NotReady : when the states are of another format
    BadInput : when model or policy are not what was written
    """
    states, bundle, policy = _shared(deployment.parts, share)
    version = Tracking(workspace, tracking_uri).version_of(deployment.model, deployment.run_id)
    engine = DecisionEngine(
        states or open_states(workspace, deployment.states),
        bundle or open_bundle(version),
        deployment.model,
        policy or archived(workspace, deployment.policy_digest),
        clock,
    )
    return InUse(deployment, engine)


def open_versions(
    workspace: Path, tracking_uri: str | None, clock: Clock, versions: Mapping[str, str], share: InUse | None = None
) -> DecisionEngine:
    """The engine of `versions`, as `Versions.to_dict` gives them.

    Parameters
    ----------
    share : as of `open_deployment`

    Raises
    ------
    NotFound : saying which part is gone; `missing_inputs` names all that are
    NotReady : when the states are of another format
    BadInput : when model or policy are not what was written
    """
    version = Tracking(workspace, tracking_uri).numbered(versions["model"])
    parts = Parts(version.number, version.run_id, versions["states"], _digest(versions))
    states, bundle, policy = _shared(parts, share)
    return DecisionEngine(
        states or open_states(workspace, versions["states"]),
        bundle or open_bundle(version),
        version.number,
        policy or archived(workspace, _digest(versions)),
        clock,
    )


def missing_inputs(workspace: Path, tracking_uri: str | None, versions: Mapping[str, str]) -> tuple[str, ...]:
    """What `open_versions` would look for in vain: a sentence each."""
    missing = []
    for look in (
        lambda: open_states(workspace, versions["states"]),
        lambda: _check_is_there(Tracking(workspace, tracking_uri).numbered(versions["model"])),
        lambda: archived(workspace, _digest(versions)),
    ):
        try:
            look()
        except NextProductError as error:
            missing.append(str(error))
    return tuple(missing)


def open_states(workspace: Path, build_id: str) -> CustomerStates:
    """A build of states.

    Raises
    ------
    NotFound : when it is not there
    NotReady : when it is of another format
    """
    builds = sorted(path.parent.name for path in (workspace / STATES_FOLDER).glob(f"*/{STATES_MANIFEST}"))
    if build_id not in builds:
        raise NotFound(
            f"no build {build_id} of customer states in {workspace}; there are: {', '.join(builds) or 'none'}"
        )
    return CustomerStates.open(workspace / STATES_FOLDER / build_id)


def open_bundle(version: Version) -> Bundle:
    """What serves of a version's bundle.

    Raises
    ------
    NotFound : when it is not there
    BadInput : when it is not what was written
    """
    _check_is_there(version)
    return Bundle.open(version.folder, only_selected=True)


def _shared(parts: Parts, share: InUse | None) -> tuple[CustomerStates | None, Bundle | None, LoadedPolicy | None]:
    """Those of `parts` that are open already."""
    if share is None:
        return None, None, None
    other, opened = share.deployment.parts, share.engine
    return (
        opened.states if other.states == parts.states else None,
        opened.bundle if (other.model, other.run_id) == (parts.model, parts.run_id) else None,
        opened.policy if other.policy == parts.policy else None,
    )


def _check_is_there(version: Version) -> None:
    if not (version.folder / BUNDLE_MANIFEST).is_file():
        raise NotFound(f"the bundle of model version {version.number} is gone: it was in {version.folder}")


def _digest(versions: Mapping[str, str]) -> str:
    """The policy's, of its ``name@version#digest``."""
    return versions["policy"].rpartition("#")[2]
