"""Settings of the records."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RecordsConfig(BaseModel):
    """Where the records lie, and what happens when they cannot be written."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    database: str = ""
    """URL of a PostgreSQL database; ``${NAME}`` in it is taken from the environment. Empty: SQLite in the workspace."""
    on_failure: Literal["refuse", "queue"] = "refuse"
    """Records cannot be written: refuse to answer, or answer and keep decisions in files of this machine until then."""
    commit_timeout: float = Field(default=5.0, gt=0)
    """Seconds that an answer waits for its record."""
    keep_days: int = Field(default=0, ge=0)
    """Days for which ``log forget`` keeps what people did and were offered. 0: it must be told a day."""
