"""Settings of the service."""

from pydantic import BaseModel, ConfigDict, Field


class ServingConfig(BaseModel):
    """Settings of ``serve`` and ``recommend``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    """Address to listen on. There is no authentication yet: keep it local."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""
    default_limit: int = Field(default=5, ge=1)
    """Suggestions given when a request does not say how many."""
    max_limit: int = Field(default=50, ge=1)
    """Suggestions a request may ask for."""
