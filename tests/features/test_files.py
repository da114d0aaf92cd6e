"""Files for their owner only."""

import os
import stat

import pytest

from features.errors import BadInput
from features.files import make_private, replace_file, written_aside


@pytest.fixture(autouse=True)
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_from_the_first_byte_on(tmp_path):
    with written_aside(tmp_path / "list.csv", private=True) as aside:
        assert mode(aside) == 0o600
        aside.write_text("new", encoding="utf-8")
        assert not (tmp_path / "list.csv").exists()
    assert mode(tmp_path / "list.csv") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]


def test_what_is_not_finished_leaves_what_was_there(tmp_path):
    (tmp_path / "list.csv").write_text("old", encoding="utf-8")

    def fail():
        with written_aside(tmp_path / "list.csv", private=True) as aside:
            aside.write_text("half", encoding="utf-8")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]
    assert (tmp_path / "list.csv").read_text(encoding="utf-8") == "old"


def test_what_came_up_meanwhile_is_not_overwritten(tmp_path):
    with pytest.raises(BadInput, match="is there already"), written_aside(tmp_path / "a", replace=False):
        (tmp_path / "a").symlink_to("nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_public_file_is_replaced_by_a_private_one(tmp_path):
    (tmp_path / "keys.json").write_text("old", encoding="utf-8")
    replace_file(tmp_path / "keys.json", b"new", private=True)
    assert (mode(tmp_path / "keys.json"), (tmp_path / "keys.json").read_bytes()) == (0o600, b"new")


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o400, 0o400), (0o777, 0o700), (0o620, 0o600)])
def test_make_private_takes_from_others_and_gives_nothing(tmp_path, before, after):
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(before)
    assert make_private(tmp_path / "a") == (before != after)
    assert mode(tmp_path / "a") == after
