"""Features of how the bank approached the customer and what came of it, and of complaints."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..blocks import CustomerBlock
from ..chunks import CHUNK, FEW
from ..contracts import OUTCOMES
from ..kernels import kernel
from ..states import CustomerStates
from .family import FeatureFamily
from .feature import OF_OUTCOMES, Feature, Measure, Subject, Title, TopicKey

_CONTACTS = TopicKey("contacts", Subject.CONTACTS)
_COMPLAINTS = TopicKey("complaints", Subject.UNSPOKEN)  # nobody is offered something for having complained


class ContactFeatures(FeatureFamily):
    """Contacts made (control arms were not contacted and do not count), outcomes, open complaints."""

    name = "contacts"
    title = Title("contacts", "触达")
    windows = (1, 3, 12)
    """Periods in which contacts are counted."""
    outcome_window = 6
    """Periods in which outcomes are counted."""

    def define(self, states: CustomerStates) -> list[Feature]:
        """Contact columns where the bank brought contacts, complaint columns where it brought complaints."""
        features = []
        self._has_contacts = bool(states.contacts.indptr[-1])
        self._has_complaints = bool(states.complaints.indptr[-1])
        if self._has_contacts:
            features += [
                Feature(
                    group=f"contacts_{n}", meaning=f"contacts in {n} periods", dtype="count", topic=_CONTACTS,
                    measure=Measure.COUNT, window=n,
                )
                for n in self.windows
            ]  # fmt: skip
            features += [
                Feature(
                    group=f"contacts_{outcome}",
                    meaning=f"contacts of {self.outcome_window} periods answered {outcome}", dtype="count",
                    topic=_CONTACTS, measure=OF_OUTCOMES[outcome], window=self.outcome_window,
                )
                for outcome in OUTCOMES
            ]  # fmt: skip
            features.append(
                Feature(
                    group="days_since_contact", meaning="days since the last contact; missing: none", dtype="number",
                    topic=_CONTACTS, measure=Measure.AGO,
                )
            )  # fmt: skip
            self._outcomes = np.array([states.contacts.code("outcome", outcome) for outcome in OUTCOMES])
        if self._has_complaints:
            features.append(
                Feature(
                    group="open_complaints", meaning="complaints not resolved yet", dtype="count", topic=_COMPLAINTS,
                    measure=Measure.LEVEL,
                )
            )  # fmt: skip
        # by age of the period looked from: its last day and those before the windows
        back = (0, *self.windows, self.outcome_window)
        self._days = np.array(
            [
                [states.calendar.as_of_day(states.as_of_period - age - n) for n in back]
                for age in range(states.manifest.depth)
            ]
        )
        return features

    def compute(self, block: CustomerBlock, out: NDArray[np.float32]) -> None:
        """One pass over the customers' events."""
        states, positions = block.states, block.positions
        days = self._days[states.age_of(block.period)]
        few, column = block.n_customers < FEW, 0
        if self._has_contacts:
            indptr, columns = states.contacts.indptr, states.contacts.columns
            column = len(self.windows) + len(OUTCOMES) + 1
            arguments = (
                positions, indptr, columns["happened_on"], columns["known_on"], columns["treated"], columns["outcome"],
                columns["outcome_known_on"], days, self._outcomes, out[:, :column],
            )  # fmt: skip
            if few:
                _count_contacts(0, len(positions), *arguments)
            else:
                _count_contacts_of_many(*arguments)
        if self._has_complaints:
            indptr, columns = states.complaints.indptr, states.complaints.columns
            of_complaints = (positions, indptr, columns["known_on"], columns["resolved_on"], days[0], out[:, column])
            if few:
                _count_open(0, len(positions), *of_complaints)
            else:
                _count_open_of_many(*of_complaints)


@kernel
def _count_contacts(  # type: ignore[no-untyped-def]
    start, stop, positions, indptr, happened_on, known_on, treated, outcome, outcome_known_on, days, outcomes, out
):
    n_windows = len(days) - 2
    as_of_day, outcome_start = days[0], days[-1]
    for row in range(start, stop):
        last = -1
        for column in range(out.shape[1] - 1):
            out[row, column] = 0
        for event in range(indptr[positions[row]], indptr[positions[row] + 1]):
            if known_on[event] > as_of_day or treated[event] == 0:
                continue
            day = happened_on[event]
            last = max(last, day)
            for window in range(n_windows):
                if day > days[1 + window]:
                    out[row, window] += 1
            if day > outcome_start and outcome_known_on[event] <= as_of_day:
                for code in range(len(outcomes)):
                    if outcome[event] == outcomes[code]:
                        out[row, n_windows + code] += 1
        if last >= 0:
            out[row, out.shape[1] - 1] = as_of_day - last


@kernel(parallel=True)
def _count_contacts_of_many(  # type: ignore[no-untyped-def]
    positions, indptr, happened_on, known_on, treated, outcome, outcome_known_on, days, outcomes, out
):
    n = len(positions)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _count_contacts(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, indptr, happened_on, known_on, treated, outcome,
            outcome_known_on, days, outcomes, out,
        )  # fmt: skip


@kernel
def _count_open(start, stop, positions, indptr, known_on, resolved_on, as_of_day, out):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        count = 0
        for event in range(indptr[positions[row]], indptr[positions[row] + 1]):
            if known_on[event] <= as_of_day and resolved_on[event] > as_of_day:
                count += 1
        out[row] = count


@kernel(parallel=True)
def _count_open_of_many(positions, indptr, known_on, resolved_on, as_of_day, out):  # type: ignore[no-untyped-def]
    n = len(positions)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _count_open(
            chunk * CHUNK, min(n, chunk * CHUNK + CHUNK), positions, indptr, known_on, resolved_on, as_of_day, out
        )
