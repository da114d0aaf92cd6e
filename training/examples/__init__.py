"""What models learn from: customers at a date, what they could acquire and what they did acquire, split by time."""

from .examples import Batch, DatedExamples, Examples, HiddenHoldings
from .remembering import RememberedExamples, remembered
from .segment_counts import SegmentCounts, rates_of
from .splits import HIDE_ONE, OCCASIONS, PERIODS, Split, hide_one_parts, occasions_cut, protocol_of, split

__all__ = [
    "HIDE_ONE",
    "OCCASIONS",
    "PERIODS",
    "Batch",
    "DatedExamples",
    "Examples",
    "HiddenHoldings",
    "RememberedExamples",
    "SegmentCounts",
    "Split",
    "hide_one_parts",
    "occasions_cut",
    "protocol_of",
    "rates_of",
    "remembered",
    "split",
]
