"""Whether the records are what was written: every digest and every link is computed again."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.progress import Progress
from sqlalchemy import Connection, func, select, text

from features.errors import BadInput

from .chain import START, Anchor, chain_of, digest_of
from .entries import ERASURE, KINDS, RETENTION, StoredEntry
from .erased import Ranges
from .records import Records
from .tables import entries

MOST_PROBLEMS = 100
"""Problems told; more are counted."""

_CHUNK = 256  # rows read at a time: payloads may be large

# as text, so that nothing makes of the columns what they should be
_ROWS = text(
    "SELECT seq, entry_id, kind, at, customer_id, salt, digest, chain, payload FROM entries "
    f"WHERE seq >= :first ORDER BY seq LIMIT {_CHUNK}"
)
_PLAIN = frozenset(KINDS) - {ERASURE, RETENTION}
_HASH = 32
_BEFORE_ALL = -(1 << 63)


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes
    ----------
    entries : how many there are
    head : the last of them
    problems : what is wrong, the first hundred; nothing if all is as it was written
    problem_count : how many there are in all
    """

    entries: int
    head: Anchor
    problems: tuple[str, ...]
    problem_count: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem_count == 0


def verify(records: Records, *, anchor: Anchor | None = None, progress: Progress | None = None) -> Verification:
    """Check the whole chain, as it is now; others may write meanwhile.

    Found are entries whose content or any other column was changed, that are missing, moved or put in between, and
    payloads that are gone though no erasure names them, or still there though one does. A chain that was cut off at its
    end, or written anew from some entry on, is found only with an `anchor` from beyond that place.

    Parameters
    ----------
    anchor : a head noted earlier, somewhere else

    Raises
    ------
    RecordsUnavailable : when the database cannot be read
    """
    check = _Check(anchor)
    with records.database.snapshot() as connection:
        total = connection.scalar(select(func.count()).select_from(entries)) or 0
        task = progress.add_task("Verifying", total=total) if progress is not None else None
        for rows in _chunks(connection):
            for row in rows:
                check.take(row)
            if progress is not None and task is not None:
                progress.update(task, advance=len(rows))
    return check.finish()


def _chunks(connection: Connection) -> Iterator[Sequence[Any]]:
    first = _BEFORE_ALL
    while rows := connection.execute(_ROWS, {"first": first}).all():
        yield rows
        first = rows[-1].seq + 1


@dataclass
class _Check:
    """Takes one row after the other."""

    anchor: Anchor | None
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0
    count: int = 0
    head: Anchor = START
    candidates: tuple[bytes, ...] = (START.chain,)  # the link before, as it stands there and as it should
    emptied: array[int] = field(default_factory=lambda: array("q"))
    named: list[tuple[int, Ranges]] = field(default_factory=list)  # by the entry of that number

    def take(self, row: Sequence[Any]) -> None:
        """The next row, which may hold anything that a forger put there."""
        self.count += 1
        if not self._is_as_written(*row):
            self._inspect(*row)
        seq, chain = row[0], row[7]
        if self.anchor is not None and self.anchor.seq == seq and self.anchor.chain != chain:
            self._problem(f"entry {seq}: its link is not the one noted in the anchor: the chain was written anew")
        self.head = Anchor(seq, chain)

    def _is_as_written(
        self, seq: int, entry_id: Any, kind: Any, at: Any, customer_id: Any, salt: Any, digest: Any, chain: Any,
        payload: Any,
    ) -> bool:  # fmt: skip
        """Whether all is right with a row that needs no more looking into."""
        try:
            right = (
                seq == self.head.seq + 1
                and kind in _PLAIN
                and digest_of(salt, customer_id, payload) == digest
                and chain_of(self.head.chain, seq, kind, entry_id, at, digest) == chain
            )
        except (TypeError, AttributeError):  # something else where text or bytes should be
            return False
        if right:
            self.candidates = (chain,)
        return right

    def _inspect(
        self, seq: int, entry_id: Any, kind: Any, at: Any, customer_id: Any, salt: Any, digest: Any, chain: Any,
        payload: Any,
    ) -> None:  # fmt: skip
        if seq != self.head.seq + 1:
            self._place(seq)
        texts = all(isinstance(value, str) for value in (entry_id, kind, at))
        if not (texts and all(isinstance(value, bytes) and len(value) == _HASH for value in (digest, chain))):
            self._problem(f"entry {seq}: a column holds what was never written there")
            self.candidates = ()
            return
        sound = self._content(seq, customer_id, salt, digest, payload)
        links = [chain_of(before, seq, kind, entry_id, at, digest) for before in self.candidates]
        if links and chain not in links:
            self._problem(f"entry {seq}: id, kind, time, digest or link was changed, or the entry was put in or moved")
        # only one of two is wrong: an entry is not blamed for the one before
        self.candidates = (chain,) if chain in links or not links else (chain, *links)
        if kind in (ERASURE, RETENTION) and sound:
            self._names(StoredEntry(seq, entry_id, kind, at, None, payload))
        if kind not in KINDS:
            self._problem(f"entry {seq}: no kind of entry is called {kind!r}")

    def finish(self) -> Verification:
        """What all rows together say."""
        if self.anchor is not None and self.anchor.seq > self.head.seq:
            self._problem(
                f"the anchor names entry {self.anchor.seq}, but the last one is {self.head.seq}: the end was cut off"
            )
        self._compare_erasures()
        return Verification(self.count, self.head, tuple(self.problems), self.problem_count)

    def _place(self, seq: int) -> None:
        expected = self.head.seq + 1
        if seq < expected:
            self._problem(f"entry {seq}: the first entry is 1, this was put in")
        else:
            missing = f"entry {expected} is" if seq == expected + 1 else f"entries {expected} to {seq - 1} are"
            self._problem(f"{missing} missing")
            self.candidates = ()

    def _content(self, seq: int, customer_id: Any, salt: Any, digest: bytes, payload: Any) -> bool:
        if salt is None and payload is None and customer_id is None:
            self.emptied.append(seq)
            return False
        whole = isinstance(salt, bytes) and isinstance(payload, bytes) and isinstance(customer_id, str | None)
        if not whole or digest_of(salt, customer_id, payload) != digest:
            self._problem(f"entry {seq}: customer, salt, payload or digest was changed")
            return False
        return True

    def _names(self, entry: StoredEntry) -> None:
        try:
            self.named.append((entry.seq, Ranges.named_by(entry)))
        except BadInput as error:
            self._problem(str(error))

    def _compare_erasures(self) -> None:
        for by, ranges in self.named:
            for first, last in ranges.spans:
                if first < 1 or last >= by:
                    self._problem(f"entry {by}: says that entries {first} to {last} were emptied, not all before it")
                    continue
                there = self.emptied[bisect_left(self.emptied, first) : bisect_right(self.emptied, last)]
                if len(there) <= last - first:
                    for seq in sorted(set(range(first, last + 1)).difference(there)):
                        self._problem(f"entry {seq}: entry {by} says that it was emptied, but there is content")
        named = Ranges.of_spans(span for _, ranges in self.named for span in ranges.spans)
        for seq in self.emptied:
            if seq not in named:
                self._problem(f"entry {seq}: its content is gone, and no erasure or retention names it")

    def _problem(self, text: str) -> None:
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)
