"""The public keys that tokens are signed with, out of a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from features.errors import BadInput

from .config import Algorithm

_log = logging.getLogger(__name__)

_KIND_OF: Mapping[Algorithm, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Key type, and curve where the type has several."""

_LEAST_RSA_BITS = 2048


@dataclass(frozen=True)
class KeySet:
    """Keys of one algorithm, each under its id.

    Attributes
    ----------
    by_id : the keys that have an id
    only : the one key there is, with or without an id; None: there are several, or none
    """

    by_id: Mapping[str, PyJWK] = field(default_factory=dict)
    only: PyJWK | None = None

    def __bool__(self) -> bool:
        return self.only is not None or bool(self.by_id)

    def key_for(self, key_id: str | None) -> PyJWK | None:
        """The key that a token names; the only one for a token that names none; None: it cannot be told."""
        return self.only if key_id is None else self.by_id.get(key_id)


def read_key_set(content: bytes, algorithm: Algorithm, source: str) -> KeySet:
    """The keys of a JWKS that verify signatures by `algorithm`.

    Keys for other uses and algorithms are left out, as are private ones (who publishes one has lost it), RSA keys
    below 2048 bits, and ids that stand for two different keys.

    Parameters
    ----------
    content : JSON, an object with a list `keys`
    source : where it comes from, for messages

    Raises
    ------
    BadInput : when it is no JWKS
    """
    entries = _entries(content, source)
    keys = [key for entry in entries if (key := _usable(entry, algorithm)) is not None]
    if not keys:
        _log.warning(
            "%s has no public key for signatures by %s among its %d keys: no token is accepted",
            source,
            algorithm,
            len(entries),
        )
    times = Counter(key.key_id for key in keys)
    for key_id, count in times.items():
        if key_id is not None and count > 1:
            _log.warning("%s has %d keys with the id %r: none of them is used", source, count, key_id)
    by_id = {key.key_id: key for key in keys if key.key_id is not None and times[key.key_id] == 1}
    return KeySet(by_id, keys[0] if len(keys) == 1 else None)


def _entries(content: bytes, source: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise BadInput(f"{source} is not JSON: a JWKS is expected, {{'keys': [...]}}") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise BadInput(f"{source} has no list 'keys': a JWKS is expected, {{'keys': [...]}}")
    distinct: list[dict[str, Any]] = []
    for entry in entries:  # the same key twice is no contradiction
        if isinstance(entry, dict) and entry not in distinct:
            distinct.append(entry)
    return distinct


def _usable(entry: dict[str, Any], algorithm: Algorithm) -> PyJWK | None:
    kind, curve = _KIND_OF[algorithm]
    key_id, operations = entry.get("kid"), entry.get("key_ops", ["verify"])
    if (
        (entry.get("kty"), entry.get("crv") if curve else None) != (kind, curve)
        or entry.get("use", "sig") != "sig"
        or entry.get("alg", algorithm) != algorithm
        or not (isinstance(operations, list) and "verify" in operations)
        or not (key_id is None or isinstance(key_id, str))
        or "d" in entry
    ):
        return None
    try:
        key = PyJWK(entry, algorithm)
    except PyJWTError:
        _log.warning("the key with the id %r cannot be read, and is not used", key_id)
        return None
    if kind == "RSA" and key.key.key_size < _LEAST_RSA_BITS:
        _log.warning("the key with the id %r has fewer than %d bits, and is not used", key_id, _LEAST_RSA_BITS)
        return None
    return key
