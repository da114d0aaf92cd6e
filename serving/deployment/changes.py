"""Changing what is in use: deploying, going back, and what a service that starts takes up."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from features.clock import Clock
from features.errors import NotFound, NotReady
from features.files import replace_file
from features.states import CURRENT as BUILD_IN_USE
from features.states import KEPT, STATES_FOLDER
from training import CHAMPION, Tracking
from training.tracking import Version

from ..answering.engine import DecisionEngine
from ..decisions.policy.check import check_policy
from ..decisions.policy.loading import LoadedPolicy, load_policy, policy_path
from ..decisions.policy.problems import BadPolicy
from .deployments import (
    Deployment,
    Parts,
    current,
    history,
    is_announced,
    only_deployer,
    put_into_use,
    withdraw_announcement,
)
from .opening import InUse, open_bundle, open_deployment, open_states
from .policies import archive, archived
from .proposals import MayUse, NotApproved, check_may_use
from .rehearsal import warm_up

OWN = "current"
"""Stands for the states, and for the policy, that the workspace itself names."""

Intent = Callable[[Deployment], None]
"""Puts on record what is about to go into use, or raises: what is on no record does not."""

_SERVICE = "serve"


def in_workspace(workspace: Path, tracking_uri: str | None = None) -> Parts:
    """What the champion alias, ``states/CURRENT`` and ``policy.yaml`` name now."""
    build_id: str | None = None
    version: Version | None = None
    policy: LoadedPolicy | None = None
    with suppress(NotReady):
        build_id = _own_build(workspace)
    with suppress(NotReady):
        version = Tracking(workspace, tracking_uri).find(CHAMPION)
    with suppress(BadPolicy):
        policy = load_policy(policy_path(workspace))
    return Parts(
        version.number if version else None,
        version.run_id if version else None,
        build_id,
        policy.digest if policy else None,
    )


def deploy(
    workspace: Path,
    tracking_uri: str | None,
    clock: Clock,
    *,
    model: str | None = None,
    states: str | None = None,
    policy: str | None = None,
    by: str,
    intend: Intent,
    share: InUse | None = None,
    may_use: MayUse | None = None,
) -> Deployment:
    """Put a model, states or a policy into use, with what is in use of the others; given none, all that the workspace
    names.

    All three are opened, checked and tried first: what is broken is refused, and what is in use stays.

    Parameters
    ----------
    model : a version's number, or "champion"
    states : the id of a build, or "current"
    policy : a digest, or "current"
    by : who asks for it
    intend : puts it on record, before it has any effect
    share : what is open already; what both have in common is not opened again
    may_use : says why another policy than the one in use may not be; None: any that is sound may

    Raises
    ------
    NotApproved : when another policy may not be used
    NotFound : when there is no such version, build or policy, saying which there are
    NotReady : when something has not been made yet
    BadInput, BadConfiguration : when model or policy cannot be used
    RecordsUnavailable : when it cannot be put on record
    """
    with only_deployer(workspace):
        now = current(workspace)
        if now is None or (model, states, policy) == (None, None, None):
            model, states, policy = model or CHAMPION, states or OWN, policy or OWN
        build_id = _build(workspace, states, now)
        version = _version(Tracking(workspace, tracking_uri), model, now)
        loaded = _policy(workspace, policy, now)
        check_may_use(loaded, now, may_use)
        return _put(workspace, tracking_uri, clock, version, build_id, loaded, now, by, intend, share=share).deployment


def roll_back(
    workspace: Path, tracking_uri: str | None, clock: Clock, *, by: str, intend: Intent, share: InUse | None = None
) -> Deployment:
    """Put into use what was in use before; going back again goes further back.

    Parameters
    ----------
    by, intend, share : as of `deploy`

    Raises
    ------
    NotFound : when nothing else was in use before, or one of its parts is gone
    NotReady, BadInput, BadConfiguration : when it cannot be used any more
    RecordsUnavailable : when it cannot be put on record
    """
    with only_deployer(workspace):
        now = current(workspace)
        if now is None:
            raise NotFound(f"nothing has been in use in {workspace} yet")
        before = before_of(history(workspace))
        if before is None:
            raise NotFound(
                f"nothing else was in use in {workspace} before deployment {now.rolled_back_to or now.number}"
            )
        version = Tracking(workspace, tracking_uri).version_of(before.model, before.run_id)
        policy = archived(workspace, before.policy_digest)
        to = before.rolled_back_to or before.number
        return _put(
            workspace, tracking_uri, clock, version, before.states, policy, now, by, intend, rolled_back_to=to,
            share=share,
        ).deployment  # fmt: skip


def before_of(made: Sequence[Deployment]) -> Deployment | None:
    """The deployment to go back to from the last of `made`, which are all, the oldest first; None: there is nothing.

    What was gone back to stands where it stood at first: before it comes what came before it then. What is made of the
    same parts is no other.
    """
    now = place = made[-1]
    while (since := place.rolled_back_to or place.number) > 1:
        place = made[since - 2]
        if place.parts != now.parts:
            return place
    return None


def take_up(
    workspace: Path, tracking_uri: str | None, clock: Clock, intend: Intent, may_use: MayUse | None = None
) -> tuple[InUse, str | None]:
    """What a service that starts has in use, opened and warm.

    That is the current deployment, unless the workspace has come to name something else since that was made: then
    what it names is deployed, by the first of the workers that start together. What turns out not to be usable does
    not keep the service from what was in use before; a policy that may not be used does not keep it from the rest.

    Parameters
    ----------
    intend, may_use : as of `deploy`

    Returns
    -------
    in_use
    refused : why what the workspace names is not in use; None: it is, or it was gone back from

    Raises
    ------
    NotReady, NotFound, BadInput, BadConfiguration : when there is nothing that can be used
    """
    refused: str | None = None
    with only_deployer(workspace):
        now = current(workspace)
        looks = _is_a_start(workspace)
        if now is None:
            made = _put_own(workspace, tracking_uri, clock, None, intend, OWN)
            withdraw_announcement(workspace)
            return made, None
        named = in_workspace(workspace, tracking_uri)
        if looks and named != now.noted:
            try:
                refused = _policy_refused(workspace, now, may_use)
                if refused is None or replace(named, policy=now.noted.policy) != now.noted:
                    made = _put_own(workspace, tracking_uri, clock, now, intend, OWN if refused is None else None)
                    withdraw_announcement(workspace)
                    return made, refused
            except Exception as error:  # whatever it is, something else works
                refused = f"deployment {now.number} stays in use, what {workspace} names now cannot be used: {error}"
        withdraw_announcement(workspace)
    in_use = open_deployment(workspace, now, tracking_uri, clock)
    warm_up(in_use.engine)
    return in_use, refused


def _is_a_start(workspace: Path) -> bool:
    """Whether a service starts, and not one of its workers in place of another."""
    return multiprocessing.parent_process() is None or is_announced(workspace)


def _policy_refused(workspace: Path, now: Deployment, may_use: MayUse | None) -> str | None:
    """Why the policy that the workspace names may not be used; None: it may."""
    try:
        check_may_use(_policy(workspace, OWN, now), now, may_use)
    except NotApproved as error:
        return f"the policy of deployment {now.number} stays in use: {error}"
    return None


def _put_own(
    workspace: Path, tracking_uri: str | None, clock: Clock, now: Deployment | None, intend: Intent, policy: str | None
) -> InUse:
    """Put into use what the workspace names, with `policy` as of `deploy`."""
    build_id = _build(workspace, OWN, now)
    version = _version(Tracking(workspace, tracking_uri), CHAMPION, now)
    loaded = _policy(workspace, policy, now)
    waits = policy is None
    return _put(workspace, tracking_uri, clock, version, build_id, loaded, now, _SERVICE, intend, waits=waits)


def _put(
    workspace: Path, tracking_uri: str | None, clock: Clock, version: Version, build_id: str, policy: LoadedPolicy,
    now: Deployment | None, by: str, intend: Intent, *, rolled_back_to: int | None = None, share: InUse | None = None,
    waits: bool = False,
) -> InUse:  # fmt: skip
    """Open these, try them, put on record that they go into use, and put them there.

    Parameters
    ----------
    waits : whether the workspace names another policy, which the next start is to look at again
    """
    states = bundle = None
    if share is not None:
        other, opened = share
        states = opened.states if other.states == build_id else None
        bundle = opened.bundle if (other.model, other.run_id) == (version.number, version.run_id) else None
    states = states or open_states(workspace, build_id)
    check_policy(policy, states, clock.today())
    engine = DecisionEngine(states, bundle or open_bundle(version), version.number, policy, clock)
    warm_up(engine)
    archive(workspace, policy)
    noted = in_workspace(workspace, tracking_uri)
    if waits and now is not None:
        noted = replace(noted, policy=now.noted.policy)
    deployment = Deployment(
        number=(now.number if now else 0) + 1,
        model=version.number,
        run_id=version.run_id,
        states=build_id,
        policy=policy.name,
        policy_digest=policy.digest,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=by,
        noted=noted,
        rolled_back_to=rolled_back_to,
    )
    intend(deployment)
    # whatever is built meanwhile, what serves is kept, and what a roll-back goes to
    builds = dict.fromkeys([build_id, now.states if now else build_id])
    replace_file(workspace / STATES_FOLDER / KEPT, "\n".join([*builds, ""]).encode())
    put_into_use(workspace, deployment)
    return InUse(deployment, engine)


def _build(workspace: Path, wanted: str | None, now: Deployment | None) -> str:
    if wanted is None and now is not None:
        return now.states
    return _own_build(workspace) if wanted in (None, OWN) else wanted


def _version(tracking: Tracking, wanted: str | None, now: Deployment | None) -> Version:
    if wanted is None and now is not None:
        return tracking.version_of(now.model, now.run_id)
    return tracking.version(CHAMPION) if wanted in (None, CHAMPION) else tracking.numbered(wanted)


def _policy(workspace: Path, wanted: str | None, now: Deployment | None) -> LoadedPolicy:
    if wanted is None and now is not None:
        return archived(workspace, now.policy_digest)
    return load_policy(policy_path(workspace)) if wanted in (None, OWN) else archived(workspace, wanted)


def _own_build(workspace: Path) -> str:
    try:
        return (workspace / STATES_FOLDER / BUILD_IN_USE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise NotReady(f"no customer states in {workspace}: run `nextproduct build TABLES {workspace}` first") from None
