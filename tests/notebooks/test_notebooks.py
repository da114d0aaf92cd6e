import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).parents[2]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def executed(path, folder):
    """The notebook with its outputs; nothing is written outside `folder`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MLFLOW", "MPLBACKEND"))}
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR", "TMPDIR")
    for variable in own:
        (folder / variable).mkdir()
        inherited[variable] = str(folder / variable)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("execute.py")), str(path)],
        cwd=folder, capture_output=True, text=True, check=False,
        env=inherited | {"PYTHONPATH": str(PROJECT), "HOME": str(folder), "JUPYTER_PLATFORM_DIRS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return read(folder / path.name)


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds_of(outputs):
    return [(output.output_type, sorted(output.get("data", {}))) for output in outputs]


def test_it_runs_and_complains_of_nothing(path, tmp_path):
    outputs = [output for cell in code_of(executed(path, tmp_path)) for output in cell.outputs]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    assert sum(output.output_type == "execute_result" for output in outputs) >= 5
    saved = [output for cell in code_of(read(path)) for output in cell.outputs]
    assert kinds_of(saved) == kinds_of(outputs), "what is saved is not what it gives: `make notebooks` runs it anew"


def test_it_defines_nothing(path):
    for cell in code_of(read(path)):
        defined = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, DEFINITIONS)]
        assert defined == [], cell.source


def test_it_imports_no_test_and_nothing_private(path):
    for cell in code_of(read(path)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                assert not any(
                    part.startswith("_") for part in [*node.module.split("."), *(n.name for n in node.names)]
                )
                assert node.module.partition(".")[0] != "tests"


def test_it_reads_well_without_being_run(path):
    """`make notebooks` saves them with their outputs, in which nothing of the machine is named."""
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert tempfile.gettempdir() not in path.read_text(encoding="utf-8")


def test_its_headings_are_in_both_languages(path):
    headings = [
        line
        for cell in read(path).cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("#")
    ]
    assert len(headings) >= 5
    assert [heading for heading in headings if not re.search(r"[A-Za-z].* · .*[\u4e00-\u9fff]", heading)] == []
