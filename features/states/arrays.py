"""Arrays kept in files: written whole, read by memory-mapping, never pickled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def mapped(path: Path) -> NDArray:
    """The array in `path`, mapped read-only; pages are shared between processes and loaded when touched."""
    array: NDArray = np.load(path, mmap_mode="r", allow_pickle=False)
    # an ndarray over the same pages: numba and numpy index it without memmap's overhead
    return array.view(np.ndarray)


def save_arrays(folder: Path, **arrays: NDArray) -> None:
    """Write each array into `folder`, made for them, as ``<name>.npy``."""
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def load_arrays(folder: Path, *names: str) -> dict[str, NDArray]:
    """Map what `save_arrays` wrote."""
    return {name: mapped(folder / f"{name}.npy") for name in names}


def row_pointers(rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """CSR row pointers, int64, shape (n_rows + 1,), of entries sorted by `rows`."""
    return np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n_rows)))).astype(np.int64)
