"""Settings of who may see what."""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .roles import Role

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA"]


class AccessConfig(BaseModel):
    """Who signs the tokens that callers present, what is read in them, and how much a caller may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    jwks: str = ""
    """The public keys that tokens are signed with (a JWKS): a file, relative to the workspace, or an https address.
    Empty: only the demonstration's tokens are accepted, where `nextproduct demo` made a key for them."""
    algorithm: Algorithm = "ES256"
    """The one algorithm accepted, whatever a token says of itself."""
    issuer: str = ""
    """The `iss` that a token must have; needed with `jwks`."""
    audience: str = ""
    """The `aud` that a token must have, this service's own name; needed with `jwks`."""
    leeway: float = Field(default=30.0, ge=0, le=300)
    """Seconds by which the clocks of issuer and service may differ."""
    role_claim: str = Field(default="role", min_length=1)
    """The claim with the role, one of: rm, team_lead, campaign_manager, analyst, risk_officer, administrator."""
    rm_claim: str = Field(default="rm_id", min_length=1)
    """The claim with an RM's id, text as in the customers table."""
    branch_claim: str = Field(default="branch_id", min_length=1)
    """The claim with a branch's id, text as in the customers table."""
    max_token_seconds: int = Field(default=43_200, ge=60)
    """Seconds between a token's `iat` and its `exp`, at most: one that lasts longer is refused."""
    max_key_days: int = Field(default=365, ge=1)
    """Days that a machine's key may be made for."""
    single_person: bool = False
    """Whether one person alone may do what else takes another's approval: a policy goes into use without, and a consent
    is granted without evidence. For a demonstration, where nobody else is there."""
    approval_days: int = Field(default=14, ge=1, le=365)
    """Days after which a request for an approval lapses."""
    jwks_seconds: int = Field(default=300, ge=1)
    """Seconds after which keys are fetched again from an address. A file is read again when it changes."""
    requests_per_second: float = Field(default=2000.0, gt=0)
    """Requests of one caller that each worker process answers in a second, in the long run."""
    burst: int = Field(default=4000, ge=1)
    """Requests of one caller that each worker process answers at once, after a pause."""
    requests_per_second_of: dict[Role, float] = {}
    """The same for callers of a role, instead; their burst changes in proportion."""
    cors_origins: tuple[str, ...] = ()
    """Origins of pages that may call the service from a browser, such as "https://crm.bank.example"."""

    @field_validator("jwks")
    @classmethod
    def _is_safe(cls, jwks: str) -> str:
        if "://" not in jwks:
            return jwks
        address = _split(jwks)
        if address.scheme == "http" and not is_loopback(jwks):
            raise ValueError("over http anybody on the way could put in keys of their own: give an https address")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("give a file or an https address")
        if address.username is not None or address.password is not None:
            raise ValueError("an address may not carry a user and a password")
        return jwks

    @field_validator("requests_per_second_of")
    @classmethod
    def _are_positive(cls, rates: dict[Role, float]) -> dict[Role, float]:
        for role, rate in rates.items():
            if rate <= 0:
                raise ValueError(f"{role}: give more than 0 requests per second")
        return rates

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            address = _split(origin)
            whole = f"{address.scheme}://{address.netloc}"
            if address.scheme not in ("http", "https") or not address.hostname or origin != whole:
                raise ValueError(f"{origin!r} is no origin: give scheme and host, such as https://crm.bank.example")
        return origins

    @model_validator(mode="after")
    def _says_whose_tokens(self) -> AccessConfig:
        if self.jwks and not (self.issuer and self.audience):
            raise ValueError(
                "jwks needs issuer and audience: without them every token signed with these keys would be accepted, "
                "those for other services too"
            )
        return self


def is_address(jwks: str) -> bool:
    """Whether the keys are fetched from an address instead of read from a file."""
    return "://" in jwks


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    host = _split(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(address: str) -> SplitResult:
    parts = urlsplit(address)
    _ = parts.port  # a port that is no number is a ValueError here instead of later
    return parts
