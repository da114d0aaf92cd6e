"""The door by which commands reach what the service reaches by its own: what is in use, and what has happened."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..answering.engine import DecisionEngine
from ..config import ServingConfig
from ..config_file import clock_of, config_path, read_section
from ..decisions import FreshEvents
from ..records import Entry, NoRecords, Records, RecordsConfig, RecordsUnavailable
from .age import AgeLimits
from .deployments import current
from .happened import heard, heard_of_everybody
from .opening import Candidate, InUse, open_in_use


@dataclass(frozen=True)
class Door:
    """What decides in a workspace, opened together, and the records of what has happened since.

    Attributes
    ----------
    in_use : the deployment in use, opened; before the first, what the workspace names
    records : for reading; None: there are none yet, so nothing has happened
    """

    workspace: Path
    config: ServingConfig
    in_use: InUse | Candidate
    records: Records | None

    @classmethod
    @contextmanager
    def opened(cls, workspace: Path, config: Path | None, tracking_uri: str | None) -> Iterator[Door]:
        """Open what is in use in `workspace`; closed at the end. States that are old are warned of on stderr.

        Parameters
        ----------
        config : the configuration file named; None: the workspace's own, if there is one

        Raises
        ------
        NotReady : when states or champion are missing; when the states are too old to decide from
        RecordsUnavailable : when the records cannot be reached, or are gone: what has happened is not known then
        NotFound, BadInput, BadConfiguration : when what is in use, or the configuration, cannot be used
        """
        path = config_path(config, workspace)
        settings = read_section(path, "serving", ServingConfig)
        in_use = open_in_use(workspace, tracking_uri, clock_of(path))
        _check_age(in_use.engine, settings)
        records = records_if_any(workspace, settings)
        try:
            yield cls(workspace, settings, in_use, records)
        finally:
            if records is not None:
                records.close()

    @property
    def engine(self) -> DecisionEngine:
        """Model, states and policy in use."""
        return self.in_use.engine

    def happened_to(self, customer_ids: Sequence[str]) -> FreshEvents:
        """What has happened to some customers since the states were built, none of whom need exist.

        Raises
        ------
        RecordsUnavailable : when the records cannot be read
        """
        if self.records is None:
            return FreshEvents.none()
        states = self.engine.states
        here = [each for each, is_here in zip(customer_ids, states.are_here(customer_ids), strict=True) if is_here]
        with ThreadPoolExecutor(1) as thread:  # where a notebook asks, a loop runs in this one
            entries = thread.submit(asyncio.run, self.records.events_of(here)).result()
        events = [event for own in entries for _, event in heard(own, entries[own], self.engine)]
        return FreshEvents.of(states, events)

    def happened(self) -> FreshEvents:
        """What has happened to anybody since the states were built.

        Raises
        ------
        RecordsUnavailable : when the records cannot be read
        """
        return heard_of_everybody(self.records, self.engine)

    def put_on_record(self, entry: Entry) -> None:
        """Append to the records, which are made where there are none.

        Raises
        ------
        RecordsUnavailable : when it cannot be put on record
        """
        with closing(Records.open(self.workspace, _settings(self.config))) as records:
            records.append_now([entry])

    def __str__(self) -> str:
        """With what is decided, for people."""
        versions, deployment = self.engine.versions, self.in_use.deployment
        by = f"deployment {deployment.number}" if deployment else "not deployed yet: what the workspace names"
        return (
            f"Decided for {self.engine.day()} with model {versions.model}, states {versions.states}, "
            f"policy {versions.policy} ({by})."
        )


def _check_age(engine: DecisionEngine, config: ServingConfig) -> None:
    limits = AgeLimits.of(config)
    limits.check(engine)
    warning = limits.warning(engine)
    if warning is not None:
        sys.stderr.write(f"Warning: {warning}.\n")


def records_if_any(workspace: Path, config: ServingConfig) -> Records | None:
    """The records of a workspace, for reading; None: there are none, and nothing was ever deployed that they could be
    missing of.

    Raises
    ------
    RecordsUnavailable : when they cannot be reached, or are gone
    """
    try:
        return Records.open(workspace, _settings(config), writable=False)
    except NoRecords as error:
        if current(workspace) is not None:
            raise RecordsUnavailable(
                f"{error}, but there have been deployments: the records were taken away, and what customers refused "
                "with them. Put them back"
            ) from None
        return None


def _settings(config: ServingConfig) -> RecordsConfig:
    """A command answers nobody whose decision would have to wait for the database."""
    return config.records.model_copy(update={"on_failure": "refuse"})
