"""Settings of the service."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .access import AccessConfig
from .records import RecordsConfig


class ServingConfig(BaseModel):
    """Settings of ``serve`` and ``recommend``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    """Address to listen on. Others reach it through a proxy that speaks TLS: tokens must not travel in the clear."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that answer; one a core, at most."""
    default_limit: int = Field(default=5, ge=1)
    """Suggestions given when a request does not say how many."""
    max_limit: int = Field(default=50, ge=1)
    """Suggestions a request may ask for."""
    max_body_bytes: int = Field(default=1_000_000, ge=1000)
    """Bytes that the body of a request may have."""
    body_timeout: float = Field(default=10.0, gt=0)
    """Seconds within which the body of a request has to arrive."""
    header_timeout: float = Field(default=10.0, gt=0)
    """Seconds within which a request's headers have to arrive."""
    answer_timeout: float = Field(default=30.0, gt=0)
    """Seconds within which a caller has to take an answer, or 64 kB more of it."""
    drain_timeout: int = Field(default=20, ge=1)
    """Seconds for which a service that is told to stop goes on with what it has begun."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged: info has a line for each request."""
    warn_states_age_days: int = Field(default=45, ge=0)
    """Days after which the states in use are warned of, where the policy decides for today. 0: never."""
    refuse_states_age_days: int = Field(default=0, ge=0)
    """Days after which nothing is decided from them any more. 0: never."""
    tracing: bool = False
    """Spans by OpenTelemetry, configured by its own OTEL_ variables."""
    access: AccessConfig = AccessConfig()
    """Who may see what."""
    records: RecordsConfig = RecordsConfig()
    """Where decisions are put on record."""
