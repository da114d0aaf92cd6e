"""What is counted adds up: by hand, over threads, and over workers that come, go and are killed."""

import ast
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from features.errors import BadInput
from serving.api.metrics import FLUSH_EVERY, REQUEST_BUCKETS, STAGE_BUCKETS, Metrics, collect_in
from serving.decisions import Reason

ROOT = Path(__file__).parents[3]


def samples(rendered: bytes) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of the labels' names."""
    found = {}
    for family in text_string_to_metric_families(rendered.decode()):
        for sample in family.samples:
            key = (sample.name.removeprefix("nextproduct_"), *(value for _, value in sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


class TestCounts:
    def test_requests_by_route_method_and_status(self):
        metrics = Metrics()
        metrics.observe_request("/v1/customers/{customer_id}", "GET", 200, 0.004)
        metrics.observe_request("/v1/customers/{customer_id}", "GET", 200, 0.006)
        metrics.observe_request("/v1/customers/{customer_id}", "GET", 404, 0.001)
        found = samples(metrics.render())
        # labels: method, route, status
        assert found["request_seconds_count", "GET", "/v1/customers/{customer_id}", "200"] == 2
        assert found["request_seconds_sum", "GET", "/v1/customers/{customer_id}", "200"] == pytest.approx(0.004 + 0.006)
        assert found["request_seconds_count", "GET", "/v1/customers/{customer_id}", "404"] == 1

    def test_methods_of_the_callers_own_are_one_label(self):
        """Each made-up method was a series of its own: a caller could fill the memory with them."""
        metrics = Metrics()
        for method in ("PROPFIND", "BREW", "get"):
            metrics.observe_request("unknown", method, 405, 0.001)
        assert samples(metrics.render())["request_seconds_count", "other", "unknown", "405"] == 3

    def test_decisions_products_and_reasons(self):
        metrics = Metrics()
        metrics.count_decision("rm", personalised=True)
        metrics.count_decision("rm", personalised=True)
        metrics.count_decision("app", personalised=False)
        for product in ("card", "card", "fund"):
            metrics.count_offered(product)
        metrics.count_excluded("HELD", 3)
        metrics.count_excluded("HELD")
        metrics.count_fallback("states_behind")
        metrics.count_refused("not_theirs")
        found = samples(metrics.render())
        assert {key: value for key, value in found.items() if key[0].endswith("_total")} == {
            ("decisions_total", "rm", "yes"): 2,
            ("decisions_total", "app", "no"): 1,
            ("offered_total", "card"): 2,
            ("offered_total", "fund"): 1,
            ("excluded_total", "HELD"): 4,
            ("fallbacks_total", "states_behind"): 1,
            ("refused_total", "not_theirs"): 1,
            ("unrecorded_looks_total",): 0,
        }

    def test_every_reason_can_be_counted_and_nothing_else(self):
        metrics = Metrics()
        for reason in Reason:
            metrics.count_excluded(reason.name)
        with pytest.raises(BadInput, match="no reason 'held'"):
            metrics.count_excluded("held")
        assert {key[1] for key in samples(metrics.render()) if key[0] == "excluded_total"} == set(Reason.__members__)

    def test_rendering_twice_counts_once(self):
        metrics = Metrics()
        metrics.count_offered("card")
        assert metrics.render() == metrics.render()

    def test_two_services_of_one_process_count_apart(self):
        one, other = Metrics(), Metrics()
        one.count_offered("card")
        assert ("offered_total", "card") not in samples(other.render())

    def test_threads_lose_nothing(self):
        metrics = Metrics()
        stop = threading.Event()

        def count() -> None:
            for _ in range(5000):
                metrics.count_offered("card")
                metrics.observe_stage("decide", 0.25)

        def scrape() -> None:
            while not stop.is_set():
                metrics.render()

        counting = [threading.Thread(target=count) for _ in range(4)]
        scraping = threading.Thread(target=scrape)
        scraping.start()
        for thread in counting:
            thread.start()
        for thread in counting:
            thread.join()
        stop.set()
        scraping.join()
        found = samples(metrics.render())
        assert found["offered_total", "card"] == 4 * 5000
        assert found["stage_seconds_count", "decide"] == 4 * 5000
        assert found["stage_seconds_sum", "decide"] == 4 * 5000 * 0.25


class TestTimes:
    @settings(deadline=None)
    @given(st.lists(st.floats(0, 3) | st.sampled_from(STAGE_BUCKETS), max_size=30))
    def test_a_bucket_has_all_that_are_not_above_it(self, seconds):
        metrics = Metrics()
        for each in seconds:
            metrics.observe_stage("record", each)
        found = samples(metrics.render())
        for bound in STAGE_BUCKETS:
            # labels: le, stage
            assert found.get(("stage_seconds_bucket", str(bound), "record"), 0) == sum(
                each <= bound for each in seconds
            )
        assert found.get(("stage_seconds_count", "record"), 0) == len(seconds)
        assert found.get(("stage_seconds_sum", "record"), 0) == pytest.approx(sum(seconds))

    def test_buckets_tell_a_quarter_of_a_millisecond_from_a_second(self):
        assert (STAGE_BUCKETS[0], STAGE_BUCKETS[-1]) == (0.00025, 1.0)
        for buckets in (STAGE_BUCKETS, REQUEST_BUCKETS):
            assert list(buckets) == sorted(set(buckets))


class TestLevels:
    def test_the_last_one_said_counts(self):
        metrics = Metrics()
        metrics.set_record_lag(5)
        metrics.set_record_lag(3)
        metrics.set_records_queued(7)
        metrics.set_swap_failed(True)
        metrics.in_flight += 2
        found = samples(metrics.render())
        assert found["record_lag",] == 3
        assert found["records_queued",] == 7
        assert found["swap_failed",] == 1
        assert found["requests_in_flight",] == 2
        metrics.set_swap_failed(False)
        assert samples(metrics.render())["swap_failed",] == 0

    def test_a_deployment_that_is_out_of_use_is_gone(self):
        """Every deployment there ever was stayed a series."""
        metrics = Metrics()
        for number in range(1, 10):
            metrics.set_deployment(number, str(number), f"build-{number}", "demo#1")
        deployed = {key: value for key, value in samples(metrics.render()).items() if key[0] == "deployment_info"}
        # labels: model, number, policy, states
        assert deployed == {("deployment_info", "9", "9", "demo#1", "build-9"): 1}


# the workers are forked by one process, which spares importing everything three times, and buries the dead
WORKERS = """
import os, socket, sys
from pathlib import Path
from serving.api.metrics import collect_in

addresses = []
for _ in range(3):
    listener = socket.create_server(("127.0.0.1", 0))
    addresses.append(listener.getsockname()[1])
    if os.fork() == 0:
        metrics = collect_in(Path(sys.argv[1]))
        connection, _ = listener.accept()
        answers = connection.makefile("w")
        for line in connection.makefile("r"):
            print(repr(eval(line)), file=answers, flush=True)
        metrics.close()
        os._exit(0)
    listener.close()
print(addresses, flush=True)
for _ in addresses:
    os.wait()
"""


class Worker:
    """A process that counts what it is told to."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.answers = self.connection.makefile("r")
        self.say("os.getpid()")
        self.pid = self.answer()

    def say(self, *expressions: str) -> None:
        self.connection.sendall("".join(f"{expression}\n" for expression in expressions).encode())

    def answer(self) -> object:
        return ast.literal_eval(self.answers.readline())

    def tell(self, *calls: str) -> object:
        for call in calls:
            self.say(f"metrics.{call}")
            answer = self.answer()
        return answer

    def scrape(self) -> dict[tuple[str, ...], float]:
        return samples(self.tell("render()"))

    def end(self) -> None:
        self.answers.close()
        self.connection.close()

    def wait(self) -> None:
        """Until it is dead and buried."""
        deadline = time.monotonic() + 20
        while Path(f"/proc/{self.pid}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def workers(tmp_path) -> Iterator[list[Worker]]:
    folder = tmp_path / "metrics"
    process = subprocess.Popen(
        [sys.executable, "-c", WORKERS, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with process.stdout as stream:
        started = [Worker(port) for port in ast.literal_eval(stream.readline())]
    yield started
    for worker in started:
        worker.end()
        worker.wait()
    assert process.wait(20) == 0


def deployed(found: dict[tuple[str, ...], float]) -> dict[str, float]:
    """Workers by the number of the deployment they use; labels: model, number, policy, states."""
    return {key[2]: value for key, value in found.items() if key[0] == "deployment_info"}


def test_one_scrape_has_all_workers_also_those_that_are_gone(workers, tmp_path):
    """A scrape failed when another one had removed what a dead worker left, or when a new worker had just begun."""
    asked, ended, killed = workers
    for worker, n in zip(workers, (1, 10, 100), strict=True):
        worker.tell(f"count_excluded('HELD', {n})", "observe_stage('decide', 0.002)", f"set_records_queued({n})")
        worker.tell(f"set_record_lag({n})", f"__setattr__('in_flight', {n})")
        worker.tell(f"set_deployment({min(n, 10)}, 'm', 's', 'p')")
    # nobody asks the others any more: what they counted is seen all the same, after a second
    deadline = time.monotonic() + 10 * FLUSH_EVERY
    while asked.scrape().get(("excluded_total", "HELD")) != 111:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = asked.scrape()
    assert found["stage_seconds_count", "decide"] == 3
    assert found["stage_seconds_bucket", "0.001", "decide"] == 0
    assert found["stage_seconds_bucket", "0.0025", "decide"] == 3
    assert found["requests_in_flight",] == found["records_queued",] == 1 + 10 + 100
    assert found["record_lag",] == 100
    assert deployed(found) == {"1": 1, "10": 2}

    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    (tmp_path / "metrics" / f"counter_{os.getpid()}.db").touch()  # as a worker that has just begun
    for worker in (asked, ended):  # both at once
        worker.say(*["metrics.render()"] * 30)
    for worker in (asked, ended):
        for _ in range(30):
            assert isinstance(worker.answer(), bytes)
    found = asked.scrape()
    assert found["excluded_total", "HELD"] == 111
    assert found["stage_seconds_count", "decide"] == 3
    assert found["requests_in_flight",] == found["records_queued",] == 1 + 10
    assert found["record_lag",] == 10
    assert deployed(found) == {"1": 1, "10": 1}

    ended.tell("count_excluded('HELD', 1000)")
    ended.end()  # what was counted in its last moment is written on its way out
    ended.wait()
    found = asked.scrape()
    assert found["excluded_total", "HELD"] == 1111
    assert deployed(found) == {"1": 1}
    levels = {path.name for path in (tmp_path / "metrics").glob("gauge_*")}
    assert all(name.endswith(f"_{asked.pid}.db") for name in levels)


def test_memory_and_workers_cannot_be_mixed_up(tmp_path):
    """Counts went to memory without a word when something had imported prometheus_client before."""
    assert "prometheus_client" in sys.modules
    with pytest.raises(RuntimeError, match="call collect_in first"):
        collect_in(tmp_path)
