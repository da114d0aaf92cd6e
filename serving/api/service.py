"""What the routes answer from, opened when a worker starts and closed, drained, when it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import HTTPConnection

from features.clock import Clock
from features.errors import NotReady

from ..access import Authenticator, RateLimiter
from ..config import ServingConfig
from ..deployment import AgeLimits, Deployment, Follower, MayUse, age_days
from ..desk.approval_kinds import policies_approved
from ..desk.caller import deployment_entry
from ..desk.desk import Desk
from ..desk.looks import Looks
from ..desk.replays import Replays
from ..records import Records
from .metrics import Metrics
from .readiness import Readiness

_REPORT_EVERY = 1.0  # seconds

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """One worker's parts.

    Attributes
    ----------
    tracking_uri : where the registry is; None: in the workspace
    may_use : says why a policy may not go into use; None: any that is sound may
    """

    workspace: Path
    tracking_uri: str | None
    config: ServingConfig
    clock: Clock
    may_use: MayUse | None
    in_use: Follower
    records: Records
    desk: Desk
    authenticator: Authenticator
    limiter: RateLimiter
    metrics: Metrics
    readiness: Readiness
    replays: Replays
    looks: Looks
    limits: AgeLimits


@asynccontextmanager
async def opened(
    workspace: Path, config: ServingConfig, tracking_uri: str | None, clock: Clock, metrics: Metrics
) -> AsyncIterator[Service]:
    """The service's parts, open; on the way out what is pending is put on record and answered."""
    access = config.access
    async with AsyncExitStack() as parts:  # closed in the opposite order
        authenticator = await asyncio.to_thread(Authenticator.of, workspace, access)
        parts.callback(authenticator.close)
        records = await asyncio.to_thread(Records.open, workspace, config.records)
        parts.push_async_callback(asyncio.to_thread, records.close)

        looks = Looks(records, metrics)
        parts.push_async_callback(looks.close)

        def intend(deployment: Deployment) -> None:
            records.append_now([deployment_entry(deployment, {"subject": "serve", "how": "start"})])

        may_use = None if access.single_person else policies_approved(records)
        in_use = Follower(workspace, tracking_uri, clock, intend, may_use)
        await asyncio.to_thread(in_use.start)
        parts.push_async_callback(asyncio.to_thread, in_use.stop)
        limits = AgeLimits.of(config)
        kept = _Kept(records, metrics)
        parts.callback(kept.count)
        desk = Desk(in_use, records, metrics, limits)
        parts.push_async_callback(desk.close)
        limiter = RateLimiter(access.requests_per_second, access.burst, access.requests_per_second_of)
        readiness = Readiness(workspace, in_use, records, config.records.commit_timeout, limits)
        replays = Replays(records, workspace, tracking_uri, clock, in_use)
        service = Service(
            workspace, tracking_uri, config, clock, may_use, in_use, records, desk, authenticator, limiter, metrics,
            readiness, replays, looks, limits,
        )  # fmt: skip
        reporting = asyncio.create_task(_report(service, kept))
        parts.callback(reporting.cancel)
        yield service


class _Kept:
    """Counts decisions that went into files: as many as did, whatever the database has taken back meanwhile."""

    def __init__(self, records: Records, metrics: Metrics) -> None:
        self._records = records
        self._metrics = metrics
        self._counted = 0

    def count(self) -> None:
        """Those that were not counted yet."""
        new = self._records.kept - self._counted
        if new:
            self._counted += new
            self._metrics.count_fallback("records_in_files", new)


async def _report(service: Service, kept: _Kept) -> None:
    """Tell the metrics once a second how things stand."""
    metrics, records, in_use = service.metrics, service.records, service.in_use
    told = 0
    warned: str | None = None
    while True:
        metrics.set_record_lag(records.lag)
        metrics.set_records_queued(records.queued)
        kept.count()
        metrics.set_swap_failed(in_use.failure is not None)
        with suppress(NotReady):
            deployment, engine = in_use.get()
            metrics.set_states_age(age_days(engine))
            warning = service.limits.warning(engine)
            if warning is not None and warning != warned:  # once a day
                _log.warning("%s", warning)
            warned = warning
            if deployment.number != told:
                told = deployment.number
                metrics.set_deployment(told, deployment.model, deployment.states, engine.versions.policy)
        await asyncio.sleep(_REPORT_EVERY)


def service_of(connection: HTTPConnection) -> Service:
    """The service that a request is made to."""
    service: Service = connection.app.state.service
    return service
