"""What the service counts and times, for Prometheus: the figures of all worker processes, added up in one scrape."""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Literal, cast

from features.errors import BadInput

from ..decisions import Reason

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

Stage = Literal["authenticate", "events", "decide", "record", "render"]
"""The parts of answering a request, in their order."""
Refusal = Literal["not_authenticated", "not_allowed", "not_theirs", "too_many_requests"]
"""Why a caller gets nothing; `not_theirs`: the customer is in another's book, which looks to them like no customer."""

FLUSH_EVERY = 1.0
"""Seconds after which other workers see what one has counted."""
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends, in seconds, of the buckets that requests are counted in."""
STAGE_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper ends, in seconds, of the buckets that stages are counted in."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REASONS = frozenset(Reason.__members__)
_DEPLOYMENT = "nextproduct_deployment_info"


def collect_in(folder: Path) -> Metrics:
    """The metrics of this worker process, kept in `folder` beside those of the others; once a process.

    Whoever starts the workers gives them a folder that is empty at the start of the service. To be called before
    anything imports `prometheus_client`, which decides at its import where it counts.

    Raises
    ------
    RuntimeError : when `prometheus_client` has been imported already
    """
    if "prometheus_client" in sys.modules:
        raise RuntimeError(
            "prometheus_client has been imported already and counts in memory: call collect_in first, once a process"
        )
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return Metrics(folder)


class Metrics:
    """The metrics of one worker.

    Counting costs a fraction of a microsecond: counts are kept in the process and written where other workers see
    them once a second, and at each scrape of this one: of other workers a scrape has what they had counted up to a
    second before. A request is counted, and in flight no longer, after its answer was handed over, so that who was just
    answered may not find it yet; levels (lag, queue, what is in use, age) are those of the second before. Every method
    may be called from any thread; `in_flight` belongs to the event loop's.

    Attributes
    ----------
    in_flight : requests being answered
    media_type : of what `render` gives
    """

    media_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, folder: Path | None = None) -> None:
        """Count in memory; `collect_in` gives the metrics of one worker among several."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()
        memory = CollectorRegistry()
        self._source: Collector = memory if folder is None else cast("Collector", _Folder(folder))
        self._lock = Lock()
        self._flushing = Lock()

        def counted(name: str, says: str, *labels: str) -> _Counts:
            return _Counts(Counter(f"nextproduct_{name}", says, labels, registry=memory), self._lock)

        def timed(name: str, says: str, buckets: tuple[float, ...], *labels: str) -> _Times:
            histogram = Histogram(f"nextproduct_{name}", says, labels, registry=memory, buckets=buckets)
            return _Times(histogram, buckets, self._lock)

        def gauge(name: str, says: str, mode: Literal["livesum", "livemax"]) -> Gauge:
            return Gauge(f"nextproduct_{name}", says, registry=memory, multiprocess_mode=mode)

        self._requests = timed(
            "request_seconds", "Time until the answer began", REQUEST_BUCKETS, "route", "method", "status"
        )
        self._stages = timed("stage_seconds", "Time of a part of answering", STAGE_BUCKETS, "stage")
        self._decisions = counted("decisions", "Decisions made for customers", "channel", "personalised")
        self._offered = counted("offered", "Products offered in decisions", "product")
        self._excluded = counted("excluded", "Products not offered, by the first reason", "reason")
        self._fallbacks = counted("fallbacks", "Answers made with less than should have been there", "what")
        self._refused = counted("refused", "Requests refused to the caller", "reason")
        self._unrecorded_looks = counted("unrecorded_looks", "Refused tries and repeated looks that are on no record")
        self._in_flight = gauge("requests_in_flight", "Requests being answered", "livesum")
        self._swap_failed = gauge("swap_failed", "1 while a worker could not take a deployment into use", "livemax")
        self._record_lag = gauge("record_lag", "Records that the furthest behind worker has yet to write", "livemax")
        self._records_queued = gauge("records_queued", "Records that wait in files for the database", "livesum")
        self._states_age = gauge(
            "states_age_days", "Days from the last of which the states in use know to the bank's today", "livemax"
        )
        self._deployment = Gauge(
            _DEPLOYMENT,
            "Workers that use a deployment",
            ("number", "model", "states", "policy"),
            registry=memory,
            multiprocess_mode="livesum",
        )
        self._levels: dict[Gauge, float] = {}
        self._deployed: tuple[str, ...] | None = None
        self.in_flight = 0
        self._closed = Event()
        self._ticker: Thread | None = None
        if folder is not None:
            self._ticker = Thread(target=self._flush_regularly, name="metrics", daemon=True)
            self._ticker.start()

    def observe_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request; `route` is a template, never a path."""
        self._requests.add((route, method if method in _METHODS else "other", str(status)), seconds)

    def observe_stage(self, stage: Stage, seconds: float) -> None:
        """Count a part of answering a request."""
        self._stages.add((stage,), seconds)

    def count_decision(self, channel: str, personalised: bool, n: int = 1) -> None:
        """Count `n` decisions; `channel` is one of the policy's."""
        self._decisions.add((channel, "yes" if personalised else "no"), n)

    def count_offered(self, product_id: str, n: int = 1) -> None:
        """Count a product that was offered `n` times; one of the catalogue's."""
        self._offered.add((product_id,), n)

    def count_excluded(self, reason_name: str, n: int = 1) -> None:
        """Count `n` products that were not offered, by the name of their first `Reason`.

        Raises
        ------
        BadInput : when no reason has that name
        """
        if reason_name not in _REASONS:
            raise BadInput(f"there is no reason {reason_name!r}: give the name of a Reason")
        self._excluded.add((reason_name,), n)

    def count_fallback(self, what: str, n: int = 1) -> None:
        """Count `n` answers made with less than should have been there; `what` is a word of the code's."""
        self._fallbacks.add((what,), n)

    def count_refused(self, reason: Refusal) -> None:
        """Count a request refused to its caller."""
        self._refused.add((reason,))

    def count_unrecorded_looks(self, n: int) -> None:
        """Count looks that are on no record: the first of each is, or was refused."""
        self._unrecorded_looks.add((), n)

    def set_deployment(self, number: int, model: str, states: str, policy: str) -> None:
        """Say which deployment the worker uses, from now on."""
        with self._flushing:
            if self._deployed is not None:
                self._deployment.labels(*self._deployed).set(0)
            self._deployed = (str(number), model, states, policy)
            self._deployment.labels(*self._deployed).set(1)

    def set_swap_failed(self, failed: bool) -> None:
        """Say whether the newest deployment could not be taken into use."""
        self._set(self._swap_failed, float(failed))

    def set_states_age(self, days: int) -> None:
        """Say how old the states in use are."""
        self._set(self._states_age, days)

    def set_record_lag(self, n: int) -> None:
        """Say how many records the worker has yet to write."""
        self._set(self._record_lag, n)

    def set_records_queued(self, n: int) -> None:
        """Say how many records wait in files."""
        self._set(self._records_queued, n)

    def render(self) -> bytes:
        """All figures of all workers in Prometheus' text format; those of workers that are gone stay counted.

        Reads a file or three for each worker: some milliseconds, so not on the event loop.
        """
        from prometheus_client import generate_latest

        self._flush()
        return generate_latest(cast("Collector", _InUse(self._source)))

    def close(self) -> None:
        """Write what has been counted, before the worker ends."""
        self._closed.set()
        if self._ticker is not None:
            self._ticker.join()
        self._flush()

    def _set(self, gauge: Gauge, level: float) -> None:
        with self._lock:
            self._levels[gauge] = level

    def _flush(self) -> None:
        with self._flushing:
            for tally in (
                self._requests,
                self._stages,
                self._decisions,
                self._offered,
                self._excluded,
                self._fallbacks,
                self._refused,
                self._unrecorded_looks,
            ):
                tally.flush()
            with self._lock:
                levels, self._levels = self._levels, {}
            for gauge, level in levels.items():
                gauge.set(level)
            self._in_flight.set(self.in_flight)

    def _flush_regularly(self) -> None:
        while not self._closed.wait(FLUSH_EVERY):
            self._flush()


class _Counts:
    """Counts of one metric since the last flush, by their labels."""

    def __init__(self, counter: Counter, lock: Lock) -> None:
        self._counter = counter
        self._lock = lock
        self._pending: dict[tuple[str, ...], int] = {}

    def add(self, labels: tuple[str, ...], n: int = 1) -> None:
        with self._lock:
            self._pending[labels] = self._pending.get(labels, 0) + n

    def flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for labels, n in pending.items():
            (self._counter.labels(*labels) if labels else self._counter).inc(n)


class _Times:
    """Times of one metric since the last flush, by their labels: how many in each bucket, and their sum at the end."""

    def __init__(self, histogram: Histogram, buckets: tuple[float, ...], lock: Lock) -> None:
        self._histogram = histogram
        self._bounds = buckets
        self._lock = lock
        self._pending: dict[tuple[str, ...], list[float]] = {}

    def add(self, labels: tuple[str, ...], seconds: float) -> None:
        with self._lock:
            tally = self._pending.get(labels)
            if tally is None:
                tally = self._pending[labels] = [0] * (len(self._bounds) + 2)
            tally[bisect_left(self._bounds, seconds)] += 1
            tally[-1] += seconds

    def flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for labels, (*counts, total) in pending.items():
            # prometheus_client observes one value at a time, for 8 microseconds: this is what its `observe` does
            child = self._histogram.labels(*labels)
            child._sum.inc(total)
            for bucket, n in zip(child._buckets, counts, strict=True):
                if n:
                    bucket.inc(n)


class _Folder:
    """The metrics of all workers, from the files they keep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> list[Metric]:
        from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

        for pid in {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("*.db")}:
            if not _lives(pid):
                with suppress(FileNotFoundError):  # another worker's scrape was faster
                    mark_process_dead(pid, str(self._folder))
        files = [str(file) for file in self._folder.glob("*.db") if _has_begun(file)]
        return sorted(MultiProcessCollector.merge(files), key=lambda metric: metric.name)


class _InUse:
    """What a collector gives, without deployments that no worker uses any more: labels cannot be taken back."""

    def __init__(self, source: Collector) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name == _DEPLOYMENT:
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # gone; gone, and its number given to somebody else's process
        return False
    return True


def _has_begun(file: Path) -> bool:
    """Whether there is anything in a file, which a worker may be making or another scrape removing just now."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
