"""A service as a user starts it: `nextproduct serve`, in processes of its own."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

import httpx

from tests.command import NEXTPRODUCT

PATIENCE = 180  # seconds: machines that run tests are busy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, seconds=PATIENCE):
    """What is true in the end."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


class Running:
    """A service in processes of its own."""

    def __init__(self, workspace, port, *options, **process):
        words = [*NEXTPRODUCT, "serve", str(workspace), "--port", str(port), *map(str, options)]
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.said = b""
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **process)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self):
        for line in self.process.stderr:
            self.said += line

    def get(self, path, **named):
        """The answer over a connection of its own."""
        return httpx.get(f"{self.address}{path}", timeout=PATIENCE, **named)

    def listens(self):
        with suppress(httpx.TransportError):
            return self.get("/healthz").status_code == 200
        assert self.process.poll() is None, self.said.decode()
        return False

    def workers(self):
        """Ids of the processes that answer."""
        words = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        children = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        return {int(line.split()[0]) for line in children.splitlines() if "spawn_main" in line}

    def stop(self, told=signal.SIGTERM):
        """Tell it to stop; its exit code."""
        self.process.send_signal(told)
        return self.wait()

    def wait(self):
        """Its exit code, when it has ended."""
        code = self.process.wait(timeout=PATIENCE)
        self._listener.join()
        self.process.stderr.close()
        return code


@contextmanager
def serving(workspace, port, *options, **process):
    """A service that listens; it ends with code 0."""
    running = Running(workspace, port, *options, **process)
    try:
        eventually(running.listens)
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.said.decode()
    assert b"Traceback" not in running.said
    assert b"leaked" not in running.said


def copied(workspace, to):
    """A copy of a workspace, to be changed."""
    return shutil.copytree(workspace, to)
