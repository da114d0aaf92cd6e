"""Where the keys of tokens come from, and how they stay fresh: a file, or an address asked in the background."""

from __future__ import annotations

import logging
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError

from features.errors import BadInput, NotReady

from .config import is_loopback
from .key_set import KeySet
from .watched_file import WatchedFile

_log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds between two fetches at least, however many tokens name keys that are not known."""

PATIENCE = 5.0
"""Seconds that a fetch may take."""

_LARGEST = 1_000_000
_PART = 65_536

ReadKeys = Callable[[bytes], KeySet]
"""Makes keys of what a source contains; raises `BadInput` when it contains something else."""


class KeySource(Protocol):
    """Keys that may change while they are used."""

    def current(self) -> KeySet:
        """The keys to verify with now; the same object until they change."""

    def want_unknown(self) -> None:
        """Say that a token named a key that is not there."""

    def close(self) -> None:
        """Stop what runs in the background."""


class FileKeys:
    """Keys of a file, read again when it changes, at most once a second.

    A file that is gone has no keys. One that cannot be read, such as a half-written one, leaves them as they were.

    Raises
    ------
    BadInput : when the file is there and cannot be read
    """

    def __init__(self, path: Path, read: ReadKeys) -> None:
        self._file = WatchedFile(path)
        self._read = read
        self._file.has_changed()
        self._keys = self._read_file()

    def current(self) -> KeySet:
        """The keys of the file as it is, or was when it could last be read."""
        if self._file.has_changed():
            try:
                self._keys = self._read_file()
            except BadInput as error:
                _log.warning("the keys in use stay: %s", error)
        return self._keys

    def want_unknown(self) -> None:
        """Nothing to do: the file is watched anyway."""

    def close(self) -> None:
        """Nothing to do: nothing runs in the background."""

    def _read_file(self) -> KeySet:
        try:
            content = self._file.path.read_bytes()
        except FileNotFoundError:
            return KeySet()
        except OSError as error:
            raise BadInput(f"{self._file.path} cannot be read: {error.strerror}") from None
        return self._read(content)


class FetchedKeys:
    """Keys fetched from an address again and again by a thread of their own: whoever asks for them never waits.

    They are fetched every `every` seconds, and when a token names a key that is not there, but then no sooner than
    `pause` seconds after the last time; after a failure likewise. The keys in use stay when a fetch fails; until one
    has succeeded there are none. The first is waited for, `patience` seconds at most, so that a service has its keys
    before it listens.

    To be made in the process that uses it: a fork leaves the thread behind.
    """

    def __init__(
        self, address: str, read: ReadKeys, *, every: float, pause: float = PAUSE, patience: float = PATIENCE
    ) -> None:
        self._address = address
        self._read = read
        self._every = every
        self._pause = pause
        self._patience = patience
        self._opener = urllib.request.build_opener(_Refusing, *_without_proxy(address))
        self._content: bytes | None = None
        self._keys = KeySet()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._tried = threading.Event()
        threading.Thread(target=self._keep_fresh, name="jwks", daemon=True).start()
        self._tried.wait(patience)

    def current(self) -> KeySet:
        """The keys last fetched."""
        return self._keys

    def want_unknown(self) -> None:
        """Have the keys fetched again soon: the issuer may have a new one."""
        self._wanted.set()

    def close(self) -> None:
        """End the thread, after the fetch that it may be at."""
        self._closed.set()
        self._wanted.set()

    def _keep_fresh(self) -> None:
        while not self._closed.is_set():
            self._wanted.clear()
            succeeded = self._refresh()
            self._tried.set()
            due = self._every if succeeded else min(self._every, self._pause)
            least = min(due, self._pause)
            self._closed.wait(least)
            self._wanted.wait(due - least)

    def _refresh(self) -> bool:
        try:
            content = self._fetch()
            if content != self._content:
                self._keys = self._read(content)
                self._content = content
        except (
            Exception
        ) as error:  # whatever a server answers, the thread goes on: without it the keys would age unseen
            _log.warning("the keys in use stay: %s: %s: %s", self._address, type(error).__name__, error)
            return False
        return True

    def _fetch(self) -> bytes:
        end = time.monotonic() + self._patience
        content = bytearray()
        try:
            answer = self._opener.open(self._address, timeout=self._patience)
        except HTTPError as error:
            with error:  # it is an open connection too
                raise NotReady(f"the answer is {error.code} {error.reason}") from None
        with answer:
            while part := answer.read1(_PART):
                content += part
                if len(content) > _LARGEST:
                    raise BadInput(f"more than {_LARGEST:,} bytes are no JWKS")
                if time.monotonic() > end:
                    raise NotReady(f"the answer takes longer than {self._patience:g} seconds")
        return bytes(content)


class _Refusing(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it might lead from https to http, or to somebody else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Leave it an error."""


def _without_proxy(address: str) -> tuple[urllib.request.ProxyHandler, ...]:
    """No proxy knows the way to this machine's own addresses."""
    return (urllib.request.ProxyHandler({}),) if is_loopback(address) else ()
