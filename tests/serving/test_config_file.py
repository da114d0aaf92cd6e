import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from features.build import BuildConfig
from features.calendar import Frequency
from features.errors import BadConfiguration
from serving.config_file import CONFIG_FILE, config_path, file_to_change, read_section

TOML = '[build]\nperiod = "week"\nhistory_periods = 12\n\n[training]\nhorizon = 3\n'
YAML = "build:\n  period: week\n  history_periods: 12\ntraining:\n  horizon: 3\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    expected = BuildConfig(period=Frequency.WEEK, history_periods=12)
    for name, text in (("a.toml", TOML), ("a.yaml", YAML), ("a.yml", YAML)):
        assert read_section(write(tmp_path / name, text), "build", BuildConfig) == expected
        assert read_section(tmp_path / name, "serving", BuildConfig) == BuildConfig()


def test_without_a_file_everything_is_default(tmp_path: Path) -> None:
    assert read_section(None, "build", BuildConfig) == BuildConfig()
    assert read_section(write(tmp_path / "empty.yaml", "# nothing yet\n"), "build", BuildConfig) == BuildConfig()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "a.toml",
            "[bild]\nthreads = 2\n",
            "no section is called 'bild'; there are: bank, build, training, evaluation",
        ),
        ("a.toml", "[build]\nthread = 2\n", "build.thread: Extra inputs are not permitted"),
        ("a.yaml", "build: {threads: 0}\n", "build.threads: Input should be greater than or equal to 1"),
        ("a.toml", '[build]\nperiod = "day"\n', "build.period: Input should be 'week', 'month' or 'quarter'"),
        ("a.yaml", "build: {threads: 0, thread: 1}\n", "build.threads: .*; build.thread: "),
        ("a.toml", "build = \n", "cannot be read"),
        ("a.yaml", "build: [\n", "cannot be read"),
        ("a.yaml", "- build\n", r"expected sections such as \[training\], found list"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(BadConfiguration, match=f"^{re.escape(str(path))}.*{complaint}"):
        read_section(path, "build", BuildConfig)


class _Nested(BaseModel):
    model_config = ConfigDict(extra="forbid")
    build: BuildConfig = BuildConfig()


def test_a_key_within_a_key_is_named_in_full(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "training: {build: {threads: none}}\n")
    with pytest.raises(BadConfiguration, match=r"training\.build\.threads: "):
        read_section(path, "training", _Nested)


def test_a_named_file_goes_before_the_workspaces_own(tmp_path: Path) -> None:
    named = write(tmp_path / "mine.toml", TOML)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    assert config_path(None, workspace) is None
    assert config_path(None, None) is None
    own = write(workspace / CONFIG_FILE, TOML)
    assert config_path(None, workspace) == own
    assert config_path(named, workspace) == named
    missing = re.escape(str(tmp_path / "not.toml"))
    with pytest.raises(BadConfiguration, match=f"there is no configuration file {missing}"):
        config_path(tmp_path / "not.toml", workspace)


def test_settings_are_written_to_the_file_in_use(tmp_path):
    assert file_to_change(None, tmp_path) == tmp_path / "nextproduct.toml"
    assert file_to_change(tmp_path / "mine.toml", tmp_path) == tmp_path / "mine.toml"
    with pytest.raises(BadConfiguration, match=r"mine.yaml is not a TOML file"):
        file_to_change(tmp_path / "mine.yaml", tmp_path)
