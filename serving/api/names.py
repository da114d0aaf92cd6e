"""Names as callers may write them: text without control characters, of bounded length."""

from typing import Annotated

from pydantic import StringConstraints

from features.contracts import LONGEST_ID

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"

CustomerId = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=_PRINTABLE)]
ProductId = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=_PRINTABLE)]
Channel = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_PRINTABLE)]
Family = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_PRINTABLE)]
EntryId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
RmId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_PRINTABLE)]
Evidence = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_PRINTABLE)]
Remark = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
