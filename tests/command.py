"""The command as a user runs it, and a cheaper way to run its jobs."""

import contextlib
import io
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from unittest.mock import patch

_INSTALLED = Path(sysconfig.get_path("scripts")) / "nextproduct"

NEXTPRODUCT: list[str] = (
    [str(_INSTALLED)]
    if _INSTALLED.is_file()
    else [
        sys.executable,
        "-c",
        "import serving.commands.main, sys; sys.argv[0] = 'nextproduct'; serving.commands.main.main()",
    ]
)
"""The words that start it."""


def nextproduct(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end in a process of its own."""
    return _run([*NEXTPRODUCT, *map(str, arguments)])


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return _run([sys.executable, "-c", code])


def in_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it in this process: what it prints and how it ends, without the seconds that starting it takes."""
    from serving.commands.main import main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        patch.object(sys, "argv", ["nextproduct", *map(str, arguments)]),
        patch.dict(os.environ, _TERMINAL),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


_TERMINAL = {"COLUMNS": "160", "NO_COLOR": "1"}


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MLFLOW"))}
    return subprocess.run(words, capture_output=True, text=True, env=plain | _TERMINAL, check=False)
