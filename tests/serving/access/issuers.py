"""Identity providers to test with: their keys, the sets that publish them, a server for those, the tokens they sign."""

import base64
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, settings
from jwt.algorithms import get_default_algorithms

ISSUER = "https://login.bank.example"
AUDIENCE = "nextproduct"

fuzzed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests that draw text: the first draw makes a table of all of Unicode."""

CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES256K": ec.SECP256K1}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(content) -> str:
    """A segment of a token; bytes as they are, anything else as JSON."""
    return base64url(content if isinstance(content, bytes) else json.dumps(content).encode())


def signed(header, claims, key, algorithm) -> str:
    """A token with any header and claims, signed by any algorithm: what no library would help to make."""
    message = f"{part(header)}.{part(claims)}"
    signature = get_default_algorithms()[algorithm].sign(message.encode(), key)
    return f"{message}.{base64url(signature)}"


@cache
def rsa_key(name="", bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Issuer:
    """Signs with one key; `kid` None: neither set nor token says which."""

    algorithm: str = "ES256"
    kid: str | None = "k1"
    key: object = field(default=None, repr=False)

    def __post_init__(self):
        if self.key is None:
            if self.algorithm in CURVES:
                key = ec.generate_private_key(CURVES[self.algorithm]())
            elif self.algorithm == "EdDSA":
                key = ed25519.Ed25519PrivateKey.generate()
            else:
                key = rsa_key()
            object.__setattr__(self, "key", key)

    def jwk(self, **also):
        public = get_default_algorithms()[self.algorithm].to_jwk(self.key.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return public | ({} if self.kid is None else {"kid": self.kid}) | also

    def header(self, **changes):
        header = {"alg": self.algorithm, "typ": "JWT"} | ({} if self.kid is None else {"kid": self.kid}) | changes
        return {name: value for name, value in header.items() if value is not LEFT_OUT}

    def token(self, header=None, **changes):
        return signed(self.header(**(header or {})), claims(**changes), self.key, self.algorithm)


LEFT_OUT = object()


def claims(**changes):
    """Those of an RM's good token, changed; a value of LEFT_OUT leaves one out."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "li.wei",
        "iat": now,
        "exp": now + 600,
        "role": "rm",
        "rm_id": "RM01",
    }
    return {name: value for name, value in (good | changes).items() if value is not LEFT_OUT}


def key_set(*issuers) -> bytes:
    return json.dumps({"keys": [issuer.jwk() for issuer in issuers]}).encode()


class KeyServer:
    """Publishes a key set over HTTP; what it answers can be changed while it runs."""

    def __init__(self):
        self.body = b""
        self.status = 200
        self.headers = {}
        self.delay = 0.0
        self.requests = 0
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                outer.stopped.wait(outer.delay)
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except ConnectionError:  # whoever asked has gone
                    self.close_connection = True

        self.stopped = threading.Event()
        self._kind = Answering
        self.port = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/keys.json"

    @contextmanager
    def running(self):
        """Listens within the block, on the same port each time."""
        self.stopped.clear()
        server = ThreadingHTTPServer(("127.0.0.1", self.port), self._kind)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            server.shutdown()
            server.server_close()
            thread.join()


def eventually(condition, seconds=10.0):
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
