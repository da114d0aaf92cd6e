"""Whose customer it is: who may not see one is told that there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates
from features.contracts import BRANCH_ID, RM_ID
from features.errors import NotFound

from ..access import Principal


class NotTheirs(NotFound):
    """A customer of others: to the caller there is none.

    Attributes
    ----------
    customer_id : who it is
    """

    def __init__(self, says: str, customer_id: str) -> None:
        super().__init__(says)
        self.customer_id = customer_id


def check_sees(principal: Principal, states: CustomerStates, customer_id: str) -> None:
    """See to it that the customer is the principal's.

    Raises
    ------
    NotFound : the same, to the last letter, for a customer of others as for one who does not exist
    """
    rows_seen([principal], states, [customer_id])


def rows_seen(
    principals: Sequence[Principal], states: CustomerStates, customer_ids: Sequence[str]
) -> NDArray[np.int64]:
    """Shape (len(customer_ids),): the customers' rows of `states`, when each is the principal's at the same place.

    Raises
    ------
    NotFound : as `check_sees`
    """
    positions = states.positions_of(customer_ids)
    if all(principal.sees_everybody for principal in principals):
        return positions
    profile = states.profile
    versions = profile.versions_at(positions, states.as_of_period).tolist()
    for principal, customer_id, version in zip(principals, customer_ids, versions, strict=True):
        rm_id, branch_id = (profile.text(name, version) if version >= 0 else None for name in (RM_ID, BRANCH_ID))
        if not principal.may_see(rm_id, branch_id):
            raise NotTheirs(str(states.unknown(customer_id)), customer_id)
    return positions
