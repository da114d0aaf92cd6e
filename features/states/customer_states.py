"""CustomerStates: everything features are computed from, memory-mapped, viewable at any past period.

A workspace keeps builds of states side by side; a small file names the one in use and is replaced in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..calendar import Calendar, Frequency
from ..catalogue import Catalogue
from ..errors import BadInput, NotFound, NotReady
from ..files import AnyPath, written_aside
from .arrays import mapped
from .events import EventLog
from .history import HoldingsHistory
from .occasions import Occasions
from .panels import Panel
from .partners import PartnerHistory
from .profile import Profile
from .segments import segment_count

Derived = TypeVar("Derived")

FORMAT = 5
"""Version of the files' layout: a state written under another one is refused, but for the one before, which only lacks
the days on which holdings began."""

STATES_FOLDER = "states"
CURRENT = "CURRENT"
KEPT = "KEPT"
"""Names, one a line, the builds that whoever serves needs beside the current one: they are not removed."""
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Where a build of states comes from.

    Attributes
    ----------
    build_id : names the build; the same tables and settings give the same one
    as_of : the last day of the newest period
    known_to : the last day of which the tables told anything, at most `as_of`: what happened up to it is in the states
    dated : whether accounts say when they opened
    first_period : the earliest period in which an account opened, at most 63 before the newest
    depth : periods of balances, activity and segment figures kept
    tables : the folder or database that was read
    mapping : the mapping file used, if one was named
    fingerprints : SHA-256 of each table, and of each file of the inbox
    """

    format: int
    build_id: str
    frequency: str
    as_of: str
    known_to: str
    dated: bool
    first_period: int
    depth: int
    n_customers: int
    n_accounts: int
    tables: str
    mapping: str | None
    fingerprints: dict[str, str]


@dataclass(frozen=True)
class CustomerStates:
    """All customers of a bank, as known at the end of one period and, by looking back, at earlier ones.

    Customers are ordered by id, products by id; a row or column position means the same in every array.

    Attributes
    ----------
    balances : average balance by product
    activity : events by channel
    flows, payments : money in and out over all channels; counterparties and amounts among customers
    contacts, consents, complaints : oldest first within a customer
    maturities : accounts with a date of maturity, opened on ``happened_on``, by ``matures_on`` within a customer.
        Seen from a day, one is visible when ``known_on`` is not later, and still open when ``closed_on`` is (`NEVER`:
        not closed). Those that matured before the periods kept are left out
    holding_share, acquisition_rate : float32, shape (depth, n_segments, n_products); see `adoption_by_segment`
    """

    manifest: Manifest
    catalogue: Catalogue
    calendar: Calendar
    customer_ids: NDArray[np.bytes_]
    profile: Profile
    history: HoldingsHistory
    balances: Panel
    activity: Panel
    flows: Panel
    payments: Panel
    partners: PartnerHistory
    contacts: EventLog
    consents: EventLog
    complaints: EventLog
    maturities: EventLog
    occasions: Occasions
    holding_share: NDArray[np.float32]
    acquisition_rate: NDArray[np.float32]

    @property
    def n_customers(self) -> int:
        """Rows of every array."""
        return len(self.customer_ids)

    @property
    def as_of_period(self) -> int:
        """The newest period."""
        return self.history.as_of_period

    @property
    def n_segments(self) -> int:
        """Groups of similar customers."""
        return segment_count(self.profile)

    @cached_property
    def sold_to(self) -> NDArray[np.bool_]:
        """Shape (depth, len(KINDS) + 1, n_products): what was sold on the last day of each period remembered."""
        newest, ages = self.as_of_period, range(self.manifest.depth)
        return np.array([self.catalogue.sold_on(self.calendar.end_of(newest - age)) for age in ages])

    def derived(self, make: Callable[[CustomerStates], Derived]) -> Derived:
        """What `make` gives of these states: made when it is first asked for, and kept as long as they are."""
        if make not in self._derived:
            self._derived[make] = make(self)  # who asks at the same time makes the same
        found: Derived = self._derived[make]
        return found

    @cached_property
    def _derived(self) -> dict[Callable[[CustomerStates], Any], Any]:
        return {}

    def position_of(self, customer_id: str) -> int:
        """The row of a customer.

        Raises
        ------
        NotFound : when there is none of that id
        """
        return int(self.positions_of((customer_id,))[0])

    def positions_of(self, customer_ids: Sequence[str]) -> NDArray[np.int64]:
        """Shape (len(customer_ids),): the rows of some customers.

        Raises
        ------
        NotFound : when there is none of one of the ids
        """
        positions, found = self._nearest(customer_ids)
        for customer_id, there in zip(customer_ids, found, strict=True):
            if there.decode() != customer_id:
                raise self.unknown(customer_id)
        return positions

    def are_here(self, customer_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Shape (len(customer_ids),): whether there is a customer of each id."""
        _, found = self._nearest(customer_ids)
        here = [there.decode() == customer_id for customer_id, there in zip(customer_ids, found, strict=True)]
        return np.array(here, dtype=np.bool_)

    def _nearest(self, customer_ids: Sequence[str]) -> tuple[NDArray[np.int64], list[bytes]]:
        """The row at which each id would stand, and the id that stands there, or the last one."""
        if not self.n_customers:
            return np.zeros(len(customer_ids), dtype=np.int64), [b"\0"] * len(customer_ids)
        # of the width of the ids here: NumPy would widen all of them to that of a longer one
        keys = np.array([each.encode(errors="replace") for each in customer_ids], dtype=self.customer_ids.dtype)
        positions = self.customer_ids.searchsorted(keys)
        # a key does not say all: what is too long was cut off, and zero bytes at the end mean nothing to NumPy
        return positions, self.customer_ids.take(positions, mode="clip").tolist()

    def unknown(self, customer_id: str) -> NotFound:
        """What is said of a customer who is not here."""
        return NotFound(f"customer {customer_id!r} is not in the states of {self.manifest.as_of}")

    def customer_id(self, position: int) -> str:
        """The id of a row."""
        return bytes(self.customer_ids[position]).decode()

    def ids_of(self, positions: NDArray[np.int64]) -> list[str]:
        """The ids of some rows."""
        return [customer_id.decode() for customer_id in self.customer_ids.take(positions).tolist()]

    def age_of(self, period: int) -> int:
        """Periods between `period` and the newest one.

        Raises
        ------
        BadInput : when `period` lies ahead of the states or before their memory
        """
        age = self.as_of_period - period
        if not 0 <= age < self.manifest.depth:
            raise BadInput(
                f"period {self.calendar.end_of(period)} is outside what the states remember: "
                f"{self.manifest.depth} periods up to {self.manifest.as_of}"
            )
        return age

    def are_known_at(self, positions: NDArray[np.int64], period: int) -> NDArray[np.bool_]:
        """Shape (len(positions),): whether the bank knew the customer at the end of `period`."""
        return self.profile.are_known_at(positions, period, self.calendar.as_of_day(period))

    def known_at(self, period: int) -> NDArray[np.int64]:
        """Positions of the customers the bank knew at the end of `period`."""
        return self.profile.known_at(period, self.calendar.as_of_day(period))

    @classmethod
    def open(cls, folder: AnyPath) -> CustomerStates:
        """Map the build in `folder`.

        Raises
        ------
        NotReady : when there is no complete build, or one of another format
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise NotReady(f"no customer states in {folder}: run `nextproduct build TABLES WORKSPACE` first")
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content.get("format") not in (FORMAT - 1, FORMAT):
            raise NotReady(
                f"the customer states in {folder} have format {content.get('format')}, this version reads "
                f"{FORMAT - 1} and {FORMAT}: run `nextproduct build` again"
            )
        layout = content.pop("key_names")
        manifest = Manifest(**content)
        catalogue = Catalogue.load(folder / "catalogue.json")
        calendar = Calendar(Frequency(manifest.frequency))
        as_of_period = calendar.period_of(date.fromisoformat(manifest.as_of))
        return cls(
            manifest=manifest,
            catalogue=catalogue,
            calendar=calendar,
            customer_ids=mapped(folder / "customer_ids.npy"),
            profile=Profile.load(folder / "profile"),
            history=HoldingsHistory.load(
                folder / "history", len(catalogue), as_of_period, keeps_days=manifest.format == FORMAT
            ),
            partners=PartnerHistory.load(folder / "partners"),
            occasions=Occasions.load(folder / "occasions"),
            holding_share=mapped(folder / "holding_share.npy"),
            acquisition_rate=mapped(folder / "acquisition_rate.npy"),
            **{name: Panel.load(folder / name, tuple(layout[name])) for name in PANELS},  # type: ignore[arg-type]
            **{name: EventLog.load(folder / name) for name in EVENT_LOGS},  # type: ignore[arg-type]
        )


PANELS = ("balances", "activity", "flows", "payments")
EVENT_LOGS = ("contacts", "consents", "complaints", "maturities")


def current_states(workspace: AnyPath) -> CustomerStates:
    """The states in use in `workspace`.

    Raises
    ------
    NotReady : when there are none
    """
    workspace = Path(workspace)
    pointer = workspace / STATES_FOLDER / CURRENT
    if not pointer.is_file():
        raise NotReady(f"no customer states in {workspace}: run `nextproduct build TABLES {workspace}` first")
    return CustomerStates.open(workspace / STATES_FOLDER / pointer.read_text(encoding="utf-8").strip())


def switch_to(workspace: Path, build_id: str) -> None:
    """Put a complete build into use, in one step: readers see the old one or the new one, never neither."""
    with written_aside(workspace / STATES_FOLDER / CURRENT) as aside:
        aside.write_text(f"{build_id}\n", encoding="utf-8")
