"""Runs notebooks: ``execute.py NOTEBOOK ...`` leaves each with its outputs in the present folder.

In a process of its own, as what it takes to talk to a kernel warns of things that only end with the process.
"""

import sys
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient


def main(path: Path) -> None:
    """Run `path` by this interpreter's kernel, which opens no port."""
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip="kernel")
    NotebookClient(notebook, km=kernel, timeout=600, record_timing=False).execute()
    nbformat.write(notebook, path.name)


if __name__ == "__main__":
    for named in sys.argv[1:]:
        main(Path(named))
