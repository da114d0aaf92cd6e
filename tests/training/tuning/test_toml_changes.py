import tomllib

import pytest

from features.errors import BadConfiguration
from training.tuning.toml_changes import change_file, toml_table, with_values

VALUES = {"rounds": 12, "rate": 0.25, "weighting": "bm25"}

OWN = """\
# our bank's settings
[training]
horizon = 3          # months
models = [
    "popularity",
    "ease",
]

[training.ease]  # checked in March
# twice the default
rate = 0.5  # was 1
other = "a"

[evaluation]
ks = [1, 3]
"""


def test_a_table_reads_back():
    assert tomllib.loads(toml_table("training.ease", VALUES)) == {"training": {"ease": VALUES}}


@pytest.mark.parametrize("text", ["", "\n", "[training]\nhorizon = 3\n", "[training]\nhorizon = 3", OWN])
def test_the_values_are_in_and_the_rest_is_as_it_was(text):
    changed = tomllib.loads(with_values(text, "training.ease", VALUES))
    before = tomllib.loads(text)
    assert changed["training"]["ease"] == before.get("training", {}).get("ease", {}) | VALUES
    changed["training"].pop("ease")
    before.setdefault("training", {}).pop("ease", None)
    assert changed == before


def test_lines_that_do_not_change_stay_word_for_word():
    expected = OWN.replace("rate = 0.5  # was 1", "rate = 0.25  # was 1")
    expected = expected.replace(
        "[training.ease]  # checked in March\n",
        '[training.ease]  # checked in March\nrounds = 12\nweighting = "bm25"\n',
    )
    assert with_values(OWN, "training.ease", VALUES) == expected


def test_the_same_values_change_nothing():
    once = with_values(OWN, "training.ease", VALUES)
    assert with_values(once, "training.ease", VALUES) == once


@pytest.mark.parametrize(
    "text",
    [
        "[training]\nease = {rate = 1.0}\n",
        "[training]\nease.rate = 1.0\n",
        '["training"."ease"]\nrate = 1.0\n',
        '[training.ease]\n"rate" = 1.0\n',
        '[training.ease]\nnote = """\nrate = 3\n"""\n',
        "[training.ease]\nrate = [1,\n2]\n",
        "[training.ease\n",
    ],
)
def test_what_cannot_be_changed_safely_is_left_to_its_owner(text):
    with pytest.raises(BadConfiguration, match=r"(?s)put these in by hand:\n\[training.ease\]\nrounds = 12\n"):
        with_values(text, "training.ease", VALUES)


def test_a_file_is_replaced_in_one_step_or_not_at_all(tmp_path):
    path = tmp_path / "nextproduct.toml"
    change_file(path, "training.ease", VALUES)
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {"training": {"ease": VALUES}}
    path.write_text("[training]\nease.rate = 1.0\n", encoding="utf-8")
    with pytest.raises(BadConfiguration):
        change_file(path, "training.ease", VALUES)
    assert path.read_text(encoding="utf-8") == "[training]\nease.rate = 1.0\n"
    assert [file.name for file in tmp_path.iterdir()] == ["nextproduct.toml"]
