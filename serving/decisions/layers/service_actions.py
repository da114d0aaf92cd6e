"""What is owed to a customer before any offer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from features.kernels import kernel

from ..policy.sections import TRIGGERS, ServiceAction
from .facts import EXPIRED_ASSESSMENT

_ASSESSMENT_EXPIRED, _OPEN_COMPLAINT = -1, -2  # beside the numbers of triggers


def occasions_of(actions: Iterable[ServiceAction]) -> NDArray[np.int8]:
    """Int8, shape (n_actions,): what each of a policy's actions is due upon, as a number."""
    others = {"risk_assessment_expired": _ASSESSMENT_EXPIRED, "open_complaint": _OPEN_COMPLAINT}
    numbers = [others[action.when] if action.when in others else TRIGGERS.index(action.when) for action in actions]
    return np.array(numbers, dtype=np.int8)


@kernel
def rows(start, stop, occasions, assessments, complaint, triggers, due):  # type: ignore[no-untyped-def]
    """Write into some rows of `due`, uint16, shape (n_customers,), bits in the order of the actions."""
    for row in range(start, stop):
        bits = np.uint16(0)
        for number in range(len(occasions)):
            occasion = occasions[number]
            if occasion == _ASSESSMENT_EXPIRED:
                holds = (assessments[row] & EXPIRED_ASSESSMENT) != 0
            elif occasion == _OPEN_COMPLAINT:
                holds = complaint[row]
            else:
                holds = (triggers[row] >> np.uint16(occasion) & np.uint16(1)) != 0
            if holds:
                bits |= np.uint16(1 << number)
        due[row] = bits
