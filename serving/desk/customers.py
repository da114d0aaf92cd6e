"""Whose customer it is: who may not see one is told that there is none."""

from __future__ import annotations

import numpy as np

from features import CustomerStates
from features.contracts import BRANCH_ID, RM_ID
from features.errors import NotFound

from ..access import Principal


class NotTheirs(NotFound):
    """A customer of others: to the caller there is none."""


def check_sees(principal: Principal, states: CustomerStates, customer_id: str) -> None:
    """See to it that the customer is the principal's.

    Raises
    ------
    NotFound : the same, to the last letter, for a customer of others as for one who does not exist
    """
    position = states.position_of(customer_id)
    version = int(states.profile.versions_at(np.array([position], dtype=np.int64), states.as_of_period)[0])
    rm_id, branch_id = (states.profile.text(name, version) if version >= 0 else None for name in (RM_ID, BRANCH_ID))
    if not principal.may_see(rm_id, branch_id):
        raise NotTheirs(str(states.unknown(customer_id)))
