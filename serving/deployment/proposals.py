"""Policies that are to go into use: kept under their digest, so that what is approved is what is used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from features import CustomerStates
from features.errors import NextProductError

from ..decisions.policy.check import check_policy
from ..decisions.policy.loading import LoadedPolicy, load_policy, policy_path
from .deployments import Deployment, only_deployer
from .policies import archive, archived

MayUse = Callable[[str], str | None]
"""Says why the policy of a digest may not go into use; None: it may."""


class NotApproved(NextProductError):
    """A policy that nobody has approved yet."""


def check_may_use(policy: LoadedPolicy, now: Deployment | None, may_use: MayUse | None) -> None:
    """See to it that a policy may go into use after `now`: the first that a workspace has may, and the one that it has.

    Raises
    ------
    NotApproved : saying what is missing
    """
    if now is None or may_use is None or policy.digest == now.policy_digest:
        return
    reason = may_use(policy.digest)
    if reason is not None:
        raise NotApproved(f"{policy.name} is not put into use: {reason}")


def propose(workspace: Path, digest: str | None, states: CustomerStates, day: date) -> LoadedPolicy:
    """The policy of that digest, or the workspace's own, checked and kept for whoever is to approve it.

    Parameters
    ----------
    day : today

    Raises
    ------
    NotFound : when it was never kept
    BadInput, BadConfiguration : when it cannot be used with `states`
    """
    with only_deployer(workspace):
        policy = load_policy(policy_path(workspace)) if digest is None else archived(workspace, digest)
        check_policy(policy, states, day)
        archive(workspace, policy)
    return policy
