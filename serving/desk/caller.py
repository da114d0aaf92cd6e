"""Who asked, and what they changed, as it stands in the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ..access import Principal
from ..deployment import Deployment
from ..records import Entry, new_entry_id
from ..records.entries import DEPLOYMENT


def caller_of(principal: Principal) -> dict[str, str]:
    """Subject, role and, where they bound what was seen, RM and branch."""
    named = {
        "subject": principal.subject, "role": principal.role.value, "rm_id": principal.rm_id,
        "branch_id": principal.branch_id, "how": principal.how,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value is not None}


def deployment_entry(deployment: Deployment, caller: Mapping[str, str], **told: str) -> Entry:
    """What is about to go into use, for the records: it has no effect before that. A number that is given again later
    was never in use the first time."""
    content = {"deployment": deployment_shown(deployment), "caller": caller, **told}
    return Entry(DEPLOYMENT, new_entry_id(), None, orjson.dumps(content))


def deployment_shown(deployment: Deployment) -> dict[str, Any]:
    """A deployment as callers and records read it."""
    return {
        "number": deployment.number, "model": deployment.model, "states": deployment.states,
        "policy": deployment.policy, "at": deployment.at, "by": deployment.by,
    }  # fmt: skip
