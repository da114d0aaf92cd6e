"""What of a decision on record somebody is shown: who may not see the customer's overview does not see it there."""

from __future__ import annotations

from typing import Any

from ..access import Permission, Principal

SHOWN_TO_ALL = frozenset(
    {
        "seq", "at", "decision_id", "caller", "request_id", "request", "day", "deployment", "format", "software",
        "versions", "state", "exploration", "answer",
    }
)  # fmt: skip
"""Shown to whoever may read decisions: what was asked, by whom, with what it was decided, and what was answered."""

STATE_SHOWN_TO_ALL = frozenset({"features"})
"""Of the state: the digest that tells whether a decision was made from the same. The rest tells of the customer."""


def disclosed(record: dict[str, Any], principal: Principal) -> dict[str, Any]:
    """`record` as far as `principal` may see it, and the names of what they may not.

    Why products were excluded tells of age, risk, holdings and refusals, and so do the factors of those that were not
    answered. What nobody has thought of yet is withheld.
    """
    if principal.may(Permission.CUSTOMER):
        return {**record, "withheld": []}
    hidden = [name for name in record if name not in SHOWN_TO_ALL]
    state = {name: value for name, value in record["state"].items() if name in STATE_SHOWN_TO_ALL}
    withheld = hidden + [f"state.{name}" for name in record["state"] if name not in state]
    return {**record, **dict.fromkeys(hidden), "state": state, "withheld": withheld}
