import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.models.propensity.encoding import ABOVE, EQUALS, FRESHNESS, LOGARITHM, MISSING, VALUE, Encoding

NAN = float("nan")


def encoded(values: list[float], dtype: str) -> dict[tuple[int, float], list[float]]:
    """Columns by (transform, first parameter)."""
    column = np.array(values, np.float32)[:, None]
    encoding = Encoding.of(column, (dtype,))
    found = encoding.encode(column)
    keys = zip(encoding.transforms.tolist(), encoding.parameters[:, 0].tolist(), strict=True)
    return dict(zip(keys, found.T.tolist(), strict=True))


def test_a_code_has_a_column_for_each_category() -> None:
    assert encoded([2, 0, 2, NAN], "code") == {(EQUALS, 0.0): [0, 1, 0, 0], (EQUALS, 2.0): [1, 0, 1, 0]}


def test_a_code_of_one_category_is_told_from_what_is_missing() -> None:
    assert encoded([3, NAN], "code") == {(EQUALS, 3.0): [1, 0]}


def test_a_flag_is_itself() -> None:
    assert encoded([0, 1, 1], "flag") == {(VALUE, 0.0): [0, 1, 1]}


def test_an_age_in_periods_says_how_fresh_it_is() -> None:
    columns = encoded([0, 2, 12, NAN], "periods")
    fresh = columns[FRESHNESS, 2.0]
    assert fresh == pytest.approx([2, 2 * math.exp(-1), 2 * math.exp(-6), 0])
    assert columns[ABOVE, 0.0] == pytest.approx([0, 0.7, 0.7, 0])
    assert columns[ABOVE, 2.0] == pytest.approx([0, 0, 0.7, 0])
    assert columns[MISSING, 0.0] == [0, 0, 0, 1]


def test_a_number_becomes_a_standardised_logarithm_and_steps() -> None:
    values = [0, 1, 10, 100, 1000, 10_000, 100_000]
    columns = encoded(values, "amount")
    logs = np.log1p(values)
    (smooth,) = (column for (transform, _), column in columns.items() if transform == LOGARITHM)
    np.testing.assert_allclose(smooth, (logs - logs.mean()) / logs.std(), rtol=1e-5)
    steps = {at: column for (transform, at), column in columns.items() if transform == ABOVE}
    assert len(steps) == 5
    for at, column in steps.items():
        assert column == pytest.approx([0.7 * (value > at) for value in values])


def test_a_debt_is_not_an_asset() -> None:
    columns = encoded([-100, 0, 100], "amount")
    (smooth,) = (column for (transform, _), column in columns.items() if transform == LOGARITHM)
    assert smooth[0] == pytest.approx(-smooth[2])
    assert smooth[1] == 0


@pytest.mark.parametrize("dtype", ["code", "flag", "periods", "amount"])
def test_what_never_varies_has_no_column(dtype: str) -> None:
    assert encoded([3, 3, 3], dtype) == {}
    assert encoded([NAN, NAN], dtype) == {}


def test_more_categories_than_columns_can_hold_are_taken_for_a_number() -> None:
    columns = encoded(list(range(60)), "code")
    assert {transform for transform, _ in columns} == {LOGARITHM, ABOVE}


@given(
    arrays(np.float32, (40, 3), elements=st.floats(-1e6, 1e6, width=32) | st.just(NAN)),
    st.lists(st.sampled_from(["code", "flag", "periods", "amount", "count"]), min_size=3, max_size=3),
)
def test_rows_are_encoded_to_finite_values_alike_alone_and_together(values, dtypes) -> None:
    encoding = Encoding.of(values, tuple(dtypes))
    together = encoding.encode(values)
    assert np.isfinite(together).all()
    for row in range(0, 40, 13):
        assert encoding.encode(values[[row]]).tobytes() == together[[row]].tobytes()


def test_unseen_values_are_encoded_too() -> None:
    encoding = Encoding.of(np.array([[0.0], [1.0], [5.0]], np.float32), ("code",))
    assert encoding.encode(np.array([[7.0], [NAN]], np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]
