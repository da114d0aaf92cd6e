"""Whether the RM or the branch that a token or a key is made for has customers, before anybody is told that they do."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import numpy as np

from features import CustomerStates
from features.contracts import BRANCH_ID, RM_ID
from features.errors import NotFound

_SHOWN = 3


def check_whose(states: CustomerStates, rm_id: str | None, branch_id: str | None, workspace: Path) -> None:
    """See to it that there are customers of that RM and of that branch, where one is named.

    Raises
    ------
    NotFound : saying how many there are, and which are spelt most like it
    """
    for column, named, option, kind in (
        (RM_ID, rm_id, "--rm", "RM"), (BRANCH_ID, branch_id, "--branch", "branch"),
    ):  # fmt: skip
        if named is None:
            continue
        known = _with_customers(states, column)
        if named in known:
            continue
        if not known:
            raise NotFound(f"{option} {named}: the customers in use in {workspace} have no {column} at all")
        near = get_close_matches(named, known, n=_SHOWN, cutoff=0.0)
        raise NotFound(
            f"{option} {named}: no customer in use in {workspace} has this {kind}; {len(known):,} have some, spelt "
            f"most like it: {', '.join(near)}"
        )


def _with_customers(states: CustomerStates, column: str) -> list[str]:
    """Those of whom there are customers now, sorted."""
    profile = states.profile
    positions = states.known_at(states.as_of_period)
    versions = profile.versions_at(positions, states.as_of_period)
    codes = np.unique(profile.codes[column][versions[versions >= 0]])
    return sorted(profile.vocabularies[column][code] for code in codes.tolist() if code >= 0)
