"""What ran is told apart even between releases."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from serving.software import SOFTWARE, digest_of_sources

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
