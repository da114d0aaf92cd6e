"""Who asked, as it stands in the records."""

from __future__ import annotations

from ..access import Principal


def caller_of(principal: Principal) -> dict[str, str]:
    """Subject, role and, where they bound what was seen, RM and branch."""
    named = {
        "subject": principal.subject, "role": principal.role.value, "rm_id": principal.rm_id,
        "branch_id": principal.branch_id, "how": principal.how,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value is not None}
