"""Which entries an erasure or a retention has emptied, as its own entry names them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import orjson

from features.errors import BadInput

from .entries import StoredEntry


@dataclass(frozen=True)
class Ranges:
    """Numbers of entries.

    Attributes
    ----------
    spans : first and last number of each stretch without a gap, ascending
    """

    spans: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, seqs: Iterable[int]) -> Ranges:
        """Those of single numbers."""
        return cls.of_spans((seq, seq) for seq in seqs)

    @classmethod
    def named_by(cls, entry: StoredEntry) -> Ranges:
        """What an entry of kind erasure or retention says it has emptied.

        Raises
        ------
        BadInput : when it does not say so as `erase` and `forget_before` do
        """
        try:
            spans = [(int(first), int(last)) for first, last in orjson.loads(entry.payload or b"")["erased"]]
        except (ValueError, TypeError, KeyError):
            raise BadInput(f"entry {entry.seq}: it does not say which entries it has emptied") from None
        return cls.of_spans(spans)

    @classmethod
    def of_spans(cls, spans: Iterable[tuple[int, int]]) -> Ranges:
        """Those of stretches in any order, which may overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(spans):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return cls(merged)

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self.spans, seq, key=itemgetter(0)) - 1
        return place >= 0 and seq <= self.spans[place][1]
