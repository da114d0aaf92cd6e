from pathlib import Path

import numpy as np
import pytest

from features.contracts import ONBOARDED_ON
from features.errors import NotFound
from features.states.profile import ALWAYS, MISSING_CODE, MISSING_DAY, Profile

# customer 0: always, then from period 5, then twice within period 7; customer 1: from period 6; customer 2: none
PROFILE = Profile(
    indptr=np.array([0, 4, 5, 5]),
    valid_from=np.array([ALWAYS, 5, 7, 7, 6], np.int32),
    numbers={"income": np.array([1, 2, 3, 4, 5], np.float32)},
    codes={"city": np.array([0, 1, MISSING_CODE, 0, 1], np.int32)},
    days={ONBOARDED_ON: np.array([MISSING_DAY] * 4 + [100], np.int32)},
    vocabularies={"city": ("上海", "Paris")},
)
EVERYONE = np.arange(3)


@pytest.mark.parametrize(
    ("period", "versions"),
    [(-1000, [0, -1, -1]), (4, [0, -1, -1]), (5, [1, -1, -1]), (6, [1, 4, -1]), (7, [3, 4, -1]), (99, [3, 4, -1])],
)
def test_of_several_versions_in_one_period_the_last_holds(period: int, versions: list[int]) -> None:
    assert PROFILE.versions_at(EVERYONE, period).tolist() == versions
    assert PROFILE.versions_at(EVERYONE[::-1], period).tolist() == versions[::-1]


@pytest.mark.parametrize(
    ("period", "as_of_day", "known"), [(5, 1000, [0]), (6, 99, [0]), (6, 100, [0, 1]), (7, 1000, [0, 1])]
)
def test_a_customer_is_known_with_a_version_and_from_onboarding_on(
    period: int, as_of_day: int, known: list[int]
) -> None:
    assert PROFILE.known_at(period, as_of_day).tolist() == known
    assert PROFILE.are_known_at(EVERYONE[::-1], period, as_of_day).tolist() == [row in known for row in (2, 1, 0)]


def test_texts_stand_behind_codes() -> None:
    assert [PROFILE.text("city", version) for version in range(5)] == ["上海", "Paris", None, "上海", "Paris"]
    with pytest.raises(NotFound, match="no text column 'income' in the profile; it has: city"):
        PROFILE.text("income", 0)


def test_a_saved_profile_reads_as_it_was(tmp_path: Path) -> None:
    PROFILE.save(tmp_path / "profile")
    loaded = Profile.load(tmp_path / "profile")
    np.testing.assert_array_equal(loaded.indptr, PROFILE.indptr, strict=True)
    np.testing.assert_array_equal(loaded.valid_from, PROFILE.valid_from, strict=True)
    assert loaded.vocabularies == PROFILE.vocabularies
    for role in ("numbers", "codes", "days"):
        mine, theirs = getattr(PROFILE, role), getattr(loaded, role)
        assert list(mine) == list(theirs)
        for name in mine:
            np.testing.assert_array_equal(theirs[name], mine[name], strict=True)
