"""What is in use, and what has happened since: which model, states and policy, since when, by whom; how that is changed
and taken back. Whoever decides anything, the service or a command, opens it here.

A deployment names one of each. Whatever asks for a change opens and tries all three first, in the process that asks,
and then moves one small file; every worker sees that, opens the same three beside those in use, and goes over to them
between two answers. Names are loaded on first use: who only asks what is in use need not pay for the models.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .age import AgeLimits, StatesTooOld, age_days
    from .changes import deploy, in_workspace, roll_back
    from .deployments import Deployment, Parts, current, going_live, history
    from .door import Door
    from .follower import Follower
    from .happened import event_entry, event_of, heard, heard_of_everybody
    from .inbox import fill_inbox, write_inbox
    from .opening import Candidate, InUse, missing_inputs, open_deployment, open_in_use, open_versions
    from .proposals import MayUse, NotApproved, propose
    from .rehearsal import warm_up
    from .workers import wait_until_in_force

_MODULES = {
    "age": ("AgeLimits", "StatesTooOld", "age_days"),
    "changes": ("deploy", "in_workspace", "roll_back"),
    "deployments": ("Deployment", "Parts", "current", "going_live", "history"),
    "door": ("Door",),
    "follower": ("Follower",),
    "happened": ("event_entry", "event_of", "heard", "heard_of_everybody"),
    "inbox": ("fill_inbox", "write_inbox"),
    "opening": ("Candidate", "InUse", "missing_inputs", "open_deployment", "open_in_use", "open_versions"),
    "proposals": ("MayUse", "NotApproved", "propose"),
    "rehearsal": ("warm_up",),
    "workers": ("wait_until_in_force",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AgeLimits",
    "Candidate",
    "Deployment",
    "Door",
    "Follower",
    "InUse",
    "MayUse",
    "NotApproved",
    "Parts",
    "StatesTooOld",
    "age_days",
    "current",
    "deploy",
    "event_entry",
    "event_of",
    "fill_inbox",
    "going_live",
    "heard",
    "heard_of_everybody",
    "history",
    "in_workspace",
    "missing_inputs",
    "open_deployment",
    "open_in_use",
    "open_versions",
    "propose",
    "roll_back",
    "wait_until_in_force",
    "warm_up",
    "write_inbox",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
