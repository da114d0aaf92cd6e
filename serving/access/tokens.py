"""Verifying tokens (JWT): signed by a known key, by the one algorithm allowed, for this service, now."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt import exceptions

from features.errors import BadInput

from .config import Algorithm
from .errors import NotAuthenticated
from .key_set import KeySet
from .key_sources import KeySource
from .principal import Principal
from .roles import Role

LONGEST = 8192
"""Characters of a token that are looked at; more is refused unread."""

REMEMBERED = 10_000
"""Tokens whose verification is remembered, the newest."""

# nothing but this: a decoder that takes padding too would take two spellings for one token
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

_REQUIRED = ["exp", "iat", "sub", "iss", "aud"]

_WORDS: dict[type[Exception], str] = {
    exceptions.ExpiredSignatureError: "the token has expired",
    exceptions.ImmatureSignatureError: "the token is not valid yet",
    exceptions.InvalidAlgorithmError: "the token is signed by another algorithm",
    exceptions.InvalidAudienceError: "the token is for another service",
    exceptions.InvalidIssuerError: "the token is of another issuer",
    exceptions.InvalidSignatureError: "the token's signature is wrong",
    exceptions.InvalidSubjectError: "the token's sub is not text",
    exceptions.MissingRequiredClaimError: f"the token lacks one of {', '.join(_REQUIRED)}",
}


@dataclass(frozen=True)
class TokenRules:
    """What a token has to say, and in which claims."""

    algorithm: Algorithm
    issuer: str
    audience: str
    leeway: float
    """Seconds."""
    longest_life: int
    """Seconds."""
    role_claim: str
    rm_claim: str
    branch_claim: str


@dataclass(frozen=True)
class _Generation:
    """Keys, and what was verified with them: when the keys change, all of it is forgotten with them."""

    keys: KeySet
    verified: OrderedDict[bytes, tuple[Principal, int]] = field(default_factory=OrderedDict)
    """Under a token's SHA-256: whose it is, and when it expires (seconds of Unix time)."""


class TokenVerifier:
    """Verifies tokens with the keys of a source, and remembers those verified until they expire or the keys change."""

    def __init__(self, source: KeySource, rules: TokenRules) -> None:
        self._source = source
        self._rules = rules
        self._generation = _Generation(source.current())

    def principal_of(self, token: str) -> Principal:
        """Whose token it is.

        Raises
        ------
        NotAuthenticated : when it is not to be accepted, whatever the reason
        """
        if len(token) > LONGEST:
            raise NotAuthenticated("the token is too long")
        try:
            digest = hashlib.sha256(token.encode("ascii")).digest()
        except UnicodeEncodeError:
            raise NotAuthenticated("the token has characters that no token has") from None
        generation = self._generation
        keys = self._source.current()
        if keys is not generation.keys:
            generation = self._generation = _Generation(keys)
        remembered = generation.verified.get(digest)
        if remembered is not None and remembered[1] > time.time() - self._rules.leeway:
            return remembered[0]
        principal, expires = self._verify(token, keys)
        generation.verified[digest] = principal, expires
        if len(generation.verified) > REMEMBERED:
            generation.verified.popitem(last=False)
        return principal

    def _verify(self, token: str, keys: KeySet) -> tuple[Principal, int]:
        if _COMPACT.fullmatch(token) is None:
            raise NotAuthenticated("the token is not of the form header.claims.signature")
        rules = self._rules
        try:
            key = self._key_of(jwt.get_unverified_header(token), keys)
            claims = jwt.decode(
                token,
                key,
                algorithms=[rules.algorithm],
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except exceptions.PyJWTError as error:
            raise NotAuthenticated(_WORDS.get(type(error), "the token is malformed")) from None
        if int(claims["exp"]) - int(claims["iat"]) > rules.longest_life:
            raise NotAuthenticated(f"the token lasts longer than the {rules.longest_life} seconds allowed")
        return _principal(claims, rules), int(claims["exp"])

    def _key_of(self, header: dict[str, Any], keys: KeySet) -> jwt.PyJWK:
        if header.get("alg") != self._rules.algorithm:
            raise NotAuthenticated("the token is signed by another algorithm")
        key_id = header.get("kid")
        key = keys.key_for(key_id)
        if key is None:
            if key_id is None:
                raise NotAuthenticated("the token does not say by which of the keys it is signed")
            self._source.want_unknown()
            raise NotAuthenticated("the token is signed by a key that is not known")
        return key


def _principal(claims: dict[str, Any], rules: TokenRules) -> Principal:
    named = claims.get(rules.role_claim)
    if named not in list(Role):
        raise NotAuthenticated("the token's role is not one of ours")
    try:
        return Principal(
            claims["sub"], Role(named), claims.get(rules.rm_claim), claims.get(rules.branch_claim), how="token"
        )
    except BadInput as error:
        raise NotAuthenticated(f"the token's claims do not fit: {error}") from None
