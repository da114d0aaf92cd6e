"""Real servers over small applications, spoken to byte by byte."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import orjson
import uvicorn
from starlette.types import ASGIApp


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict:
        """The problem that the reply has to be."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = orjson.loads(self.body)
        assert problem["status"] == self.status
        return problem


@contextmanager
def served(app: ASGIApp, lifespan: str = "off") -> Iterator[int]:
    """A server of `app` on this machine; its port."""
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", lifespan=lifespan, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def exchange(port: int, *parts: bytes, pause: float = 0.0) -> Reply:
    """What a server replies to these bytes, each part sent after a pause."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return read_reply(connection)


def read_reply(connection: socket.socket) -> Reply:
    """The next reply on a connection."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip():
            name, value = line.decode("latin-1").split(": ", 1)
            assert name not in headers, f"{name} twice"
            headers[name] = value
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            return Reply(status, headers, body)
        return Reply(status, headers, stream.read(int(headers.get("content-length", 0))))


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; `_` in a header's name stands for `-`."""
    lines = [f"{method} {target} HTTP/1.1", "host: test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
