from pathlib import Path

import numpy as np
import pytest

from features.states.events import EventLog
from features.states.panels import Panel
from features.states.partners import PartnerHistory

# ------------------------------------------------------------------------------------------------------------ partners

# customer 0 paid with 1 now and 3 periods before, with 2 five periods before; customer 2 with 0 then; 1 with 0
LINKS = [(0, 1, 0), (0, 1, 3), (0, 2, 5), (1, 0, 0), (1, 0, 3), (2, 0, 5), (2, 0, 63)]


@pytest.fixture
def partners() -> PartnerHistory:
    customers, others, ages = (np.array(column) for column in zip(*LINKS, strict=True))
    return PartnerHistory.from_rows(4, customers, others, ages.astype(np.int32))


def test_links_are_words_of_the_periods_in_which_money_moved(partners: PartnerHistory) -> None:
    assert partners.indptr.tolist() == [0, 2, 3, 4, 4]
    assert partners.partners.tolist() == [1, 2, 0, 0]
    assert partners.words.tolist() == [0b1001, 0b100000, 0b1001, 2**5 + 2**63]


@pytest.mark.parametrize(
    ("age", "window", "found"),
    [
        (0, 1, [[1], [0], []]),
        (0, 5, [[1], [0], []]),
        (0, 6, [[1, 2], [0], [0]]),
        (1, 2, [[], [], []]),
        (1, 3, [[1], [0], []]),
        (4, 12, [[2], [], [0]]),
        (6, 12, [[], [], []]),
        (60, 12, [[], [], [0]]),  # the window reaches beyond memory
    ],
)
def test_partners_of_a_window_looked_at_from_a_past_period(
    partners: PartnerHistory, age: int, window: int, found: list[list[int]]
) -> None:
    indptr, others = partners.of(np.array([0, 1, 2]), age, window)
    assert [others[indptr[row] : indptr[row + 1]].tolist() for row in range(3)] == found
    indptr, others = partners.of(np.array([3, 0]), age, window)
    assert others.tolist() == found[0]
    assert indptr.tolist() == [0, 0, len(found[0])]


def test_no_payments_are_no_partners() -> None:
    none = PartnerHistory.from_rows(2, *(np.zeros(0, np.int64),) * 2, np.zeros(0, np.int32))
    indptr, others = none.of(np.array([0, 1]), 0, 12)
    assert (indptr.tolist(), others.tolist()) == ([0, 0, 0], [])


def test_saved_partners_read_as_they_were(partners: PartnerHistory, tmp_path: Path) -> None:
    partners.save(tmp_path / "partners")
    loaded = PartnerHistory.load(tmp_path / "partners")
    for name in ("indptr", "partners", "words"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(partners, name), strict=True)


# -------------------------------------------------------------------------------------------------------------- panels

NAN = np.nan
ROWS = [(0, 0, 0, 10.0), (0, 0, 2, 12.0), (0, 1, 0, 1.0), (0, 2, 1, 7.0), (2, 1, 3, 5.0)]


@pytest.fixture
def panel() -> Panel:
    customers, keys, ages, values = zip(*ROWS, strict=True)
    return Panel.from_rows(
        key_names=("a", "b", "c"),
        n_customers=3,
        depth=4,
        customers=np.array(customers),
        keys=np.array(keys, np.int16),
        ages=np.array(ages, np.int32),
        values=np.array(values, np.float32),
    )


def test_a_panel_keeps_one_series_for_each_customer_and_key(panel: Panel) -> None:
    assert panel.indptr.tolist() == [0, 3, 3, 4]
    assert panel.keys.tolist() == [0, 1, 2, 1]
    expected = [[10, NAN, 12, NAN], [1, NAN, NAN, NAN], [NAN, 7, NAN, NAN], [NAN, NAN, NAN, 5]]
    np.testing.assert_array_equal(panel.values, np.array(expected, np.float32), strict=True)
    assert panel.depth == 4


def test_sums_over_the_keys_of_a_group_are_missing_where_none_has_a_value(panel: Panel) -> None:
    a_and_b, c_left_out = np.array([0, 0, -1]), 1
    found = panel.by_group(np.array([0, 1, 2]), np.arange(3), a_and_b, c_left_out)
    expected = [[[10 + 1, NAN, 12]], [[NAN, NAN, NAN]], [[NAN, NAN, NAN]]]
    np.testing.assert_array_equal(found, np.array(expected, np.float32), strict=True)


def test_a_look_from_a_past_period_ends_where_the_panel_does(panel: Panel) -> None:
    found = panel.by_group(np.array([2, 0]), 2 + np.arange(4), np.array([1, 0, 0]), 2)
    expected = [[[NAN, 5, NAN, NAN], [NAN] * 4], [[NAN] * 4, [12, NAN, NAN, NAN]]]
    np.testing.assert_array_equal(found, np.array(expected, np.float32), strict=True)


def test_a_saved_panel_reads_as_it_was(panel: Panel, tmp_path: Path) -> None:
    panel.save(tmp_path / "panel")
    loaded = Panel.load(tmp_path / "panel", panel.key_names)
    for name in ("indptr", "keys", "values"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(panel, name), strict=True)


# -------------------------------------------------------------------------------------------------------------- events


def test_saved_events_read_as_they_were(tmp_path: Path) -> None:
    log = EventLog(np.array([0, 0, 2]), {"happened_on": np.array([3, 5], np.int32)}, {"outcome": ("接受", "declined")})
    log.save(tmp_path / "events")
    loaded = EventLog.load(tmp_path / "events")
    np.testing.assert_array_equal(loaded.indptr, log.indptr, strict=True)
    np.testing.assert_array_equal(loaded.columns["happened_on"], log.columns["happened_on"], strict=True)
    assert loaded.vocabularies == log.vocabularies
    assert [loaded.code("outcome", text) for text in ("接受", "declined", "unheard of")] == [0, 1, -2]
