"""What day it is at the bank: the one place where an instant becomes a day."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, field_validator


class BankConfig(BaseModel):
    """What is true of the whole bank."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: str = "Asia/Shanghai"
    """By whose midnight a day begins, by its IANA name. A machine's own zone, often UTC, is never asked."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone is called {name!r}: give an IANA name, such as Asia/Shanghai") from None
        return name


@dataclass(frozen=True)
class Clock:
    """Tells days as the bank counts them.

    Attributes
    ----------
    zone : by whose midnight a day begins
    """

    zone: ZoneInfo

    @classmethod
    def of(cls, bank: BankConfig | None = None) -> Clock:
        """The clock of a bank, by default of one of which only the defaults are known."""
        return cls(ZoneInfo((bank or BankConfig()).time_zone))

    def today(self) -> date:
        """The day it is now."""
        return datetime.fromtimestamp(time.time(), self.zone).date()

    def day_of(self, instant: str) -> date:
        """The day of an instant in ISO 8601, UTC where it names no offset."""
        parsed = datetime.fromisoformat(instant)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(self.zone).date()
