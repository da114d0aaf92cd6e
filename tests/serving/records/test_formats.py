"""Decisions of any format read like those of today."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import NotReady
from serving.records import formats
from serving.records.formats import FORMAT, decision_in

NAMES = st.sampled_from(["limit", "channel", "families"])


def written(format_, **request):
    said = {"decision_id": "1", "day": "2026-01-01", "request": request}
    return orjson.dumps(said | ({"format": format_} if format_ is not None else {}))


@pytest.mark.parametrize("format_", [None, *range(1, FORMAT + 1)])
def test_every_format_there_was_is_read(format_):
    assert decision_in(written(format_, limit=3)) == {
        "decision_id": "1", "day": "2026-01-01", "request": {"limit": 3}, "format": FORMAT,
    }  # fmt: skip


def test_a_newer_one_is_refused():
    with pytest.raises(
        NotReady, match=rf"decision 1 is on record in format {FORMAT + 1}, .* none newer than {FORMAT}:"
    ):
        decision_in(written(FORMAT + 1))


@given(
    st.lists(st.dictionaries(NAMES, st.integers(0, 9)), max_size=4),
    st.integers(0, 4),
    st.dictionaries(NAMES, st.integers(0, 9)),
)
def test_a_field_added_later_has_its_default_in_what_is_older(added, age, request):
    """Replay read every key blindly: one new field, and no old decision could be replayed."""
    newest = 1 + len(added)
    format_ = max(1, newest - age)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "FORMAT", newest)
        patch.setattr(formats, "_ADDED", dict(enumerate(added, start=2)))
        read = decision_in(written(format_, **request))
    expected = {}
    for number in range(format_, newest):
        expected |= added[number - 1]
    assert read["request"] == expected | request


def test_each_format_says_what_it_added():
    assert set(formats._ADDED) == set(range(2, FORMAT + 1))
