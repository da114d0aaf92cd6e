"""Whether the records are what was written: every digest and every link is computed again, or those after a head that
was noted before."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from rich.progress import Progress
from sqlalchemy import Connection, func, select, true

from features.errors import BadInput

from .chain import START, Anchor, chain_of, content_of, digest_of
from .entries import ERASURE, KINDS, RETENTION, StoredEntry
from .erased import Ranges
from .records import Records
from .tables import entries

MOST_PROBLEMS = 100
"""Problems told; more are counted."""

_CHUNK = 256  # rows read at a time: payloads may be large

_ROWS = (
    "SELECT seq, entry_id, kind, at, customer_id, salt, digest, chain, payload FROM entries "
    f"WHERE seq >= {{}} ORDER BY seq LIMIT {_CHUNK}"
)
_PLAIN = frozenset(KINDS) - {ERASURE, RETENTION}
_HASH = 32
_BEFORE_ALL = -(1 << 63)


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes
    ----------
    entries : how many were checked
    since : after which entry; see `verify`
    head : the last entry
    problems : what is wrong, the first hundred; nothing if all is as it was written
    problem_count : how many there are in all
    """

    entries: int
    since: Anchor
    head: Anchor
    problems: tuple[str, ...]
    problem_count: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem_count == 0


def verify(
    records: Records, *, anchor: Anchor | None = None, since: Anchor = START, progress: Progress | None = None
) -> Verification:
    """Check the chain, as it is now; others may write meanwhile.

    Found are entries whose content or any other column was changed, that are missing, moved or put in between, and
    payloads that are gone though no erasure names them, or still there though one does. A chain that was cut off at its
    end, or written anew from some entry on, is found only with an `anchor` from beyond that place.

    Parameters
    ----------
    anchor : a head noted earlier, somewhere else
    since : likewise; only entries after it are checked, and that it is there. What became of those before it is not
        seen, except that erasures after it have emptied what they say.

    Raises
    ------
    BadInput : when `anchor` lies before `since`
    RecordsUnavailable : when the database cannot be read
    """
    if anchor is not None and anchor.seq < since.seq:
        raise BadInput(f"the anchor, entry {anchor.seq}, lies before entry {since.seq}, from which on is verified")
    check = _Check(anchor, since)
    after = entries.c.seq > since.seq if since.seq else true()
    with records.database.snapshot() as connection:
        total = connection.scalar(select(func.count()).select_from(entries).where(after)) or 0
        task = progress.add_task("Verifying", total=total) if progress is not None else None
        if since.seq:
            check.begin(connection.scalar(select(entries.c.chain).where(entries.c.seq == since.seq)))
        for rows in _chunks(connection, since.seq + 1 if since.seq else _BEFORE_ALL):
            check.take(rows)
            if progress is not None and task is not None:
                progress.update(task, advance=len(rows))
        if since.seq:
            check.add_emptied(lambda first, last: _emptied(connection, first, last))
    return check.finish()


def _chunks(connection: Connection, first: int) -> Iterator[Sequence[Sequence[Any]]]:
    """As the driver reads them: nothing makes of the columns what they should be, or takes time for it."""
    cursor = connection.connection.cursor()
    try:
        while True:
            cursor.execute(_ROWS.format(first))
            rows = cursor.fetchall()
            if not rows:
                return
            yield rows
            first = rows[-1][0] + 1
    finally:
        cursor.close()


def _emptied(connection: Connection, first: int, last: int) -> Sequence[int]:
    gone = (entries.c.salt.is_(None), entries.c.customer_id.is_(None), entries.c.payload.is_(None))
    return connection.scalars(
        select(entries.c.seq).where(entries.c.seq.between(first, last), *gone).order_by(entries.c.seq)
    ).all()


@dataclass
class _Check:
    """Takes one row after the other."""

    anchor: Anchor | None
    since: Anchor = START
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0
    count: int = 0
    head: Anchor = START
    candidates: tuple[bytes, ...] = (START.chain,)  # the link before, as it stands there and as it should
    emptied: array[int] = field(default_factory=lambda: array("q"))
    named: list[tuple[int, Ranges]] = field(default_factory=list)  # by the entry of that number

    def begin(self, chain: bytes | None) -> None:
        """Go on from `since`, whose link is `chain`; None: it is not there."""
        self.head, self.candidates = self.since, (self.since.chain,)
        if chain is None:
            self._problem(f"entry {self.since.seq}, after which was to be verified, is not there")
        elif chain != self.since.chain:
            self._problem(f"entry {self.since.seq}: its link is not the one noted: the chain was written anew")

    def add_emptied(self, emptied: Callable[[int, int], Sequence[int]]) -> None:
        """Look up what erasures have emptied of what was not read."""
        spans = Ranges.of_spans(span for _, ranges in self.named for span in ranges.spans).spans
        before = [(max(1, first), min(last, self.since.seq)) for first, last in spans if first <= self.since.seq]
        found = array("q", (seq for first, last in before for seq in emptied(first, last)))
        self.emptied = found + self.emptied

    def take(self, rows: Iterable[Sequence[Any]]) -> None:
        """The next rows, which may hold anything that a forger put there.

        A row with which all is right needs no more than the first condition: all but a few are so.
        """
        noted = self.anchor.seq if self.anchor is not None else None
        before, link = self.head.seq, self.head.chain
        for row in rows:
            seq, entry_id, kind, at, customer_id, salt, digest, chain, payload = row
            try:
                right = (
                    seq == before + 1
                    and kind in _PLAIN
                    and sha256(content_of(salt, customer_id, payload)).digest() == digest
                    and chain_of(link, seq, kind, entry_id, at, digest) == chain
                )
            except (TypeError, AttributeError):  # something else where text or bytes should be
                right = False
            if right:
                self.candidates = (chain,)
            else:
                self.head = Anchor(before, link)
                self._inspect(*row)
            if seq == noted:
                self._compare_anchor(chain)
            self.count += 1
            before, link = seq, chain
        self.head = Anchor(before, link)

    def _compare_anchor(self, chain: Any) -> None:
        if self.anchor is not None and self.anchor.chain != chain:
            self._problem(
                f"entry {self.anchor.seq}: its link is not the one noted in the anchor: the chain was written anew"
            )

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
        return Verification(self.count, self.since, self.head, tuple(self.problems), self.problem_count)

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
