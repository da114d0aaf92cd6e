"""Features of how the bank approached the customer and what came of it, and of complaints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from ..contracts import OUTCOMES
from .family import Feature, FeatureFamily

if TYPE_CHECKING:
    from ..block import CustomerBlock
    from ..states import CustomerStates

_WINDOWS = (1, 3, 12)
_OUTCOME_WINDOW = 6


class ContactFeatures(FeatureFamily):
    """Contacts made (control arms were not contacted and do not count), outcomes, open complaints."""

    name = "contacts"

    def define(self, states: CustomerStates) -> list[Feature]:
        """Contact columns where the bank brought contacts, complaint columns where it brought complaints."""
        features = []
        self._has_contacts = bool(states.contacts.indptr[-1])
        self._has_complaints = bool(states.complaints.indptr[-1])
        if self._has_contacts:
            features += [Feature(f"contacts_{n}", f"contacts in {n} periods", "count") for n in _WINDOWS]
            features += [
                Feature(f"contacts_{outcome}", f"contacts of {_OUTCOME_WINDOW} periods answered {outcome}", "count")
                for outcome in OUTCOMES
            ]
            features.append(Feature("days_since_contact", "days since the last contact; missing: none", "number"))
        if self._has_complaints:
            features.append(Feature("open_complaints", "complaints not resolved yet", "count"))
        return features

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """One pass over the customers' events."""
        states, calendar = block.states, block.states.calendar
        as_of_day = calendar.as_of_day(block.period)
        column = 0
        if self._has_contacts:
            log = states.contacts
            starts = np.array([calendar.as_of_day(block.period - n) for n in _WINDOWS], dtype=np.int64)
            outcomes = np.array([log.code("outcome", outcome) for outcome in OUTCOMES], dtype=np.int64)
            column = len(_WINDOWS) + len(OUTCOMES) + 1
            _count_contacts(
                block.positions,
                log.indptr,
                log.columns["happened_on"],
                log.columns["known_on"],
                log.columns["treated"],
                log.columns["outcome"],
                log.columns["outcome_known_on"],
                as_of_day,
                starts,
                outcomes,
                calendar.as_of_day(block.period - _OUTCOME_WINDOW),
                out[:, :column],
            )
        if self._has_complaints:
            log = states.complaints
            _count_open(
                block.positions,
                log.indptr,
                log.columns["known_on"],
                log.columns["resolved_on"],
                as_of_day,
                out[:, column],
            )


@numba.njit(cache=True, parallel=True)
def _count_contacts(  # type: ignore[no-untyped-def]
    positions,
    indptr,
    happened_on,
    known_on,
    treated,
    outcome,
    outcome_known_on,
    as_of_day,
    starts,
    outcomes,
    outcome_start,
    out,
):
    n_windows = len(starts)
    for row in numba.prange(len(positions)):
        last = -1
        for column in range(out.shape[1] - 1):
            out[row, column] = 0
        for event in range(indptr[positions[row]], indptr[positions[row] + 1]):
            if known_on[event] > as_of_day or treated[event] == 0:
                continue
            day = happened_on[event]
            last = max(last, day)
            for window in range(n_windows):
                if day > starts[window]:
                    out[row, window] += 1
            if day > outcome_start and outcome_known_on[event] <= as_of_day:
                for code in range(len(outcomes)):
                    if outcome[event] == outcomes[code]:
                        out[row, n_windows + code] += 1
        if last >= 0:
            out[row, out.shape[1] - 1] = as_of_day - last


@numba.njit(cache=True, parallel=True)
def _count_open(positions, indptr, known_on, resolved_on, as_of_day, out):  # type: ignore[no-untyped-def]
    for row in numba.prange(len(positions)):
        count = 0
        for event in range(indptr[positions[row]], indptr[positions[row] + 1]):
            if known_on[event] <= as_of_day and resolved_on[event] > as_of_day:
                count += 1
        out[row] = count
