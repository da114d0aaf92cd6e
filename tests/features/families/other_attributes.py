"""States in which an attribute of customers is somebody else's, and everything else as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features import CustomerStates
from features.contracts import ONBOARDED_ON

ROLES = ("numbers", "codes", "days")


def attributes_of(states: CustomerStates) -> list[str]:
    """The columns of customers that the states know."""
    return [name for role in ROLES for name in getattr(states.profile, role)]


def with_others_values(states: CustomerStates, attribute: str, rng: np.random.Generator) -> CustomerStates:
    """`states`, in which every version of a profile has another one's value of `attribute`, or none.

    Since when the bank knows a customer only becomes earlier: from then on the customer is there, and that is no
    attribute of anybody.
    """
    (role,) = (role for role in ROLES if attribute in getattr(states.profile, role))
    columns = getattr(states.profile, role)
    values = np.array(columns[attribute])
    if attribute == ONBOARDED_ON:
        values -= rng.integers(1, 4000, len(values), dtype=np.int32)
    else:
        values = rng.permutation(values)
        values[rng.random(len(values)) < 0.2] = columns[attribute].max(initial=1)
    return replace(states, profile=replace(states.profile, **{role: columns | {attribute: values}}))
