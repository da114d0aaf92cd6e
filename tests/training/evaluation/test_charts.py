import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation import BootstrapInterval
from training.evaluation.charts import Axis, Whisker, line_chart, wilson

finite = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


@given(st.lists(finite, min_size=1, max_size=8), st.booleans())
def test_an_axis_holds_its_values_in_order(values, is_share):
    axis = Axis.around(values, 200.0, is_share=is_share)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 200 for place in places)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(0 <= tick.at <= 200 for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks)


@given(st.floats(1e-5, 1.0))
def test_a_root_axis_begins_at_0(high):
    axis = Axis(0.0, high, 100.0, is_root=True, is_share=True)
    assert axis.at(0) == 0
    assert axis.at(high / 4) == pytest.approx(50, abs=0.1)
    assert axis.at(high) == 100
    ticks = axis.ticks()
    assert [tick.label for tick in ticks[:1]] == ["0%"]
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)


def test_ticks_are_round():
    assert [tick.label for tick in Axis(0.013, 0.0223, 100).ticks()] == ["0.015", "0.020"]
    assert [tick.label for tick in Axis(0.0, 1.0, 100, is_share=True).ticks()] == ["0%", "50%", "100%"]


def test_what_is_undefined_is_not_drawn():
    axis = Axis(0.0, 1.0, 100)
    assert Whisker.of(BootstrapInterval(math.nan, math.nan, math.nan), axis, "other", "") is None
    alone = Whisker.of(BootstrapInterval(0.5, math.nan, math.nan), axis, "other", "")
    assert (alone.low, alone.at, alone.high) == (50, 50, 50)


def test_wilson_by_hand():
    # no success in n: 0 to z^2 / (n + z^2)
    low, high = wilson(0.0, 100)
    assert low == 0
    assert high == pytest.approx(1.96**2 / (100 + 1.96**2))
    assert wilson(1.0, 100)[1] == pytest.approx(1)


def test_higher_is_drawn_higher():
    found = [BootstrapInterval(value, value - 0.1, value + 0.1) for value in (1.0, 2.0)]
    chart = line_chart([0.0, 1.0], ["a", "b"], [("m", "selected", found)])
    first, second = chart.series[0].points
    assert first.x < second.x
    assert first.y > second.y
    assert second.high < second.y < second.low
