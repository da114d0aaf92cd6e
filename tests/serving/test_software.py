"""What ran is told apart even between releases."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from serving.software import SOFTWARE, decided_by, digest_of_sources

PROJECT = Path(__file__).parents[2]


def test_it_is_the_package_s_version_and_its_sources():
    assert f"{version('nextproduct')}+{digest_of_sources(PROJECT)[:12]}" == SOFTWARE


@pytest.mark.parametrize("path", ["features/contracts.py", "serving/decisions/policy/policies"])
def test_any_change_of_a_source_changes_it(tmp_path, path):
    for room in ("features", "training", "serving"):
        shutil.copytree(PROJECT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    before = digest_of_sources(tmp_path)
    assert before == digest_of_sources(PROJECT)
    (tmp_path / "serving" / "__pycache__").mkdir()
    (tmp_path / "serving" / "__pycache__" / "cli.pyc").touch()
    assert digest_of_sources(tmp_path) == before
    file = tmp_path / path if path.endswith(".py") else next((tmp_path / path).glob("*.yaml"))
    content = file.read_bytes()
    file.write_bytes(content + b"#")
    assert digest_of_sources(tmp_path) != before
    file.write_bytes(content)
    assert digest_of_sources(tmp_path) == before
    file.rename(file.with_stem("other"))
    assert digest_of_sources(tmp_path) != before


NUMBER, _, SOURCES = SOFTWARE.partition("+")
THIS = f"nextproduct {NUMBER} (sources {SOURCES})"


@pytest.mark.parametrize(
    ("software", "said"),
    [
        ("0.5.0+5f2d8c0e91ab", f"nextproduct 0.5.0 (sources 5f2d8c0e91ab), and this is {THIS}"),
        ("0.1.0", f"nextproduct 0.1.0 (sources not recorded), and this is {THIS}"),
        (SOFTWARE, f"{THIS}, and this is the same"),
    ],
)
def test_what_decided_is_named_beside_what_this_is(software, said):
    assert decided_by(software) == f"it was decided by {said}"
