"""The demonstration's own key, and tokens signed with it: for trying the service out, never for production."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm
from jwt.exceptions import PyJWTError

from features.errors import BadInput, NotReady
from features.files import only_writer_of, replace_file

from .config import AccessConfig, Algorithm
from .key_set import KeySet, read_key_set
from .principal import Principal
from .roles import Role

DEMO_KEY_FILE = "demo-key.json"
DEMO_ISSUER = "nextproduct-demo"
"""Issuer and audience of the demonstration's tokens."""
DEMO_ALGORITHM: Algorithm = "ES256"
LONGEST_TTL = AccessConfig().max_token_seconds
"""Seconds that a token may last unless the settings say otherwise."""

ROLE_CLAIM = "role"
RM_CLAIM = "rm_id"
BRANCH_CLAIM = "branch_id"


def create_demo_key(workspace: Path) -> None:
    """Make the key that the demonstration's tokens are signed with; one that is there is kept.

    The file is a private key (JWK, P-256), mode 0600: who can read it can be anybody. The service accepts it only
    while no `jwks` is configured.

    Raises
    ------
    NotFound : when there is no such workspace
    """
    path = workspace / DEMO_KEY_FILE
    with only_writer_of(path):
        if not path.exists():
            key = ECAlgorithm.to_jwk(generate_private_key(SECP256R1()), as_dict=True)
            replace_file(path, json.dumps(key | {"kid": DEMO_ISSUER, "use": "sig"}).encode(), private=True)


def issue_demo_token(
    workspace: Path,
    role: Role,
    rm_id: str | None = None,
    branch_id: str | None = None,
    subject: str | None = None,
    ttl: int = 3600,
    longest: int = LONGEST_TTL,
) -> str:
    """A token that the demonstration's service accepts.

    Parameters
    ----------
    subject : who it is for; by default the RM, or else the role
    ttl : seconds until it expires, from 1
    longest : seconds at most, as the service's settings have it

    Raises
    ------
    NotReady : when the workspace has no demonstration key
    BadInput : when role and ids do not fit, the time is out of range, or the key cannot be read
    """
    if not 1 <= ttl <= longest:
        raise BadInput(f"a token lasts 1 to {longest} seconds, not {ttl}")
    principal = Principal(subject or rm_id or f"demo-{role}", role, rm_id, branch_id, how="token")
    now = int(time.time())
    claims = {
        "iss": DEMO_ISSUER,
        "aud": DEMO_ISSUER,
        "sub": principal.subject,
        "iat": now,
        "exp": now + ttl,
        ROLE_CLAIM: principal.role,
        RM_CLAIM: principal.rm_id,
        BRANCH_CLAIM: principal.branch_id,
    }
    said = {claim: value for claim, value in claims.items() if value is not None}
    return jwt.encode(said, _private_key(workspace), DEMO_ALGORITHM, headers={"kid": DEMO_ISSUER})


def read_demo_keys(content: bytes) -> KeySet:
    """The public half of the demonstration's key, as the keys of its tokens.

    Raises
    ------
    BadInput : when it is not what `create_demo_key` wrote
    """
    public = {name: value for name, value in _parse(content).items() if name != "d"}
    return read_key_set(json.dumps({"keys": [public]}).encode(), DEMO_ALGORITHM, DEMO_KEY_FILE)


def _private_key(workspace: Path) -> jwt.PyJWK:
    try:
        content = (workspace / DEMO_KEY_FILE).read_bytes()
    except FileNotFoundError:
        raise NotReady(
            f"{workspace} has no demonstration key: only `nextproduct demo` makes one. In production tokens come from "
            "the bank's identity provider, whose keys the setting serving.access.jwks names"
        ) from None
    try:
        return jwt.PyJWK(_parse(content), DEMO_ALGORITHM)
    except PyJWTError:
        raise _unreadable() from None


def _parse(content: bytes) -> dict[str, Any]:
    try:
        key = json.loads(content)
    except ValueError:
        raise _unreadable() from None
    if not isinstance(key, dict) or "d" not in key:
        raise _unreadable()
    return key


def _unreadable() -> BadInput:
    return BadInput(f"{DEMO_KEY_FILE} is not a private key: remove it and run `nextproduct demo` again")
