"""Compiled functions. What is compiled is kept on disk under a digest of everything that is baked into it.

Numba alone keys what it keeps by the file of a function, and bakes in much from other files: constants, functions, the
order of a named tuple's fields. Here the key is what is baked in, wherever it comes from: bytecode, options, constants
and, of the functions called, the same again. So code is never stale, and no change of other code, no new check-out and
no copying of files compiles anything anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config, types
from numba.core.caching import _Cache, _CacheLocator
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

_TOOLS = frozenset({"builtins", "llvmlite", "math", "numba", "numpy"})
"""What is known by its version, and not looked into."""

_WAY = (
    2,  # of what is written and digested here
    *(sys.implementation.cache_tag, numba.__version__, llvmlite.__version__, np.__version__),
    *(str(config.OPT), config.BOUNDSCHECK),
)
"""What else decides how code comes out."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
_DIGITS = 16

_log = logging.getLogger(__name__)
_watching: list[Callable[[str], None]] = []
_failures: list[str] = []


def kernel(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Have `function` compiled when it is called, without Python's lock, and what is compiled kept on disk.

    It is kept in ``NUMBA_CACHE_DIR``, else in ``__pycache__`` beside the function's file, else, where that can only be
    read, in the user's cache folder. What was compiled into a folder that can only be read now is used all the same.

    Parameters
    ----------
    options : as of `numba.njit`
    """
    if function is None:
        return partial(kernel, **options)
    dispatcher = numba.njit(nogil=True, **options)(function)
    dispatcher._cache = _KeptCode(dispatcher)
    return dispatcher


@contextmanager
def watched(say: Callable[[str], None]) -> Iterator[None]:
    """Call `say` with the name of each kernel that has to be compiled meanwhile, before it is, in whatever thread."""
    _watching.append(say)
    try:
        yield
    finally:
        _watching.remove(say)


def why_not_kept() -> str | None:
    """Why something that this process has compiled could not be kept on disk; None: everything was."""
    return _failures[0] if _failures else None


class _KeptCode(_Cache):
    """What is kept of one kernel: a file a signature and processor, named by digests of what they were compiled from.

    A file is there whole or not at all, and never overwritten by anything else: processes may compile the same thing at
    the same time. Those of other digests are removed when a new one is written.
    """

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher

    @property
    def cache_path(self) -> str:
        """Where it is kept at first choice."""
        return str(self._folders()[0])

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """What was compiled for a signature; None: nothing was, or it was from something else."""
        target_context.refresh()
        name = self._name(sig, target_context.codegen())
        for folder in self._folders():
            data = _read(folder / name)
            if data is not None:
                return CompileResult._rebuild(target_context, *pickle.loads(data))
        for say in tuple(_watching):
            say(self._full_name)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature."""
        if data.library.has_dynamic_globals or data.lifted:
            _log.warning("%s cannot be kept on disk, as it uses a pointer; every start compiles it", self._full_name)
            return
        name, content = self._name(sig, data.codegen), dumps(data._reduce())
        for folder in self._folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _write(folder / name, content)
                self._remove_others(folder, name)
            except OSError as error:
                reason = error.strerror
            else:
                return
        if not _failures:
            folders = " nor in ".join(map(str, self._folders()))
            _failures.append(f"what is compiled cannot be kept, neither in {folders} ({reason})")
            _log.warning("%s: every start compiles", _failures[0])

    def enable(self) -> None:
        """It always is."""

    def disable(self) -> None:
        """It never is."""

    def flush(self) -> None:
        """Let go of what was compiled."""
        for folder in self._folders():
            self._remove_others(folder, "")

    @property
    def _full_name(self) -> str:
        function = self._dispatcher.py_func
        return f"{function.__module__}.{function.__qualname__}"

    @property
    def _stem(self) -> str:
        function = self._dispatcher.py_func
        qualname = function.__qualname__.replace("<", "").replace(">", "")
        return f"{Path(function.__code__.co_filename).stem}.{qualname}.{sys.implementation.cache_tag}-"

    def _name(self, sig: Any, codegen: Any) -> str:
        sources, arguments = _BakedIn(), _BakedIn()
        sources.write(_WAY)
        sources.add_kernel(self._dispatcher)
        arguments.write(codegen.magic_tuple())
        for each in sig if isinstance(sig, tuple) else (*sig.args, sig.return_type):
            arguments.add_type(each)
        return f"{self._stem}{sources.digest}-{arguments.digest}.nbc"

    def _folders(self) -> list[Path]:
        file = self._dispatcher.py_func.__code__.co_filename
        of_file = _CacheLocator.get_suitable_cache_subpath(file)
        if config.CACHE_DIR:
            return [Path(config.CACHE_DIR, of_file)]
        own = Path(AppDirs(appname="numba", appauthor=False).user_cache_dir, of_file)
        return [Path(file).parent / "__pycache__", own]

    def _remove_others(self, folder: Path, name: str) -> None:
        sources = name[: len(self._stem) + _DIGITS]
        for file in folder.glob(f"{self._stem}*.nbc"):
            if not sources or not file.name.startswith(sources):
                file.unlink(missing_ok=True)


class _BakedIn:
    """A digest of what compiled code is made from."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: set[int] = set()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:_DIGITS]

    def write(self, *words: object) -> None:
        self._hash.update(repr(words).encode("utf-8", "surrogatepass"))

    def add_kernel(self, dispatcher: Any) -> None:
        """A kernel, by its options and its function."""
        self.write("kernel", sorted(dispatcher.targetoptions.items()), sorted(dispatcher.locals.items()))
        self.add_function(dispatcher.py_func)

    def add_function(self, function: FunctionType) -> None:
        """A function of Python, with all that it reads."""
        if id(function) in self._seen:
            self.write("again", function.__qualname__)
            return
        self._seen.add(id(function))
        # what is kept is a pickle, which names where the functions it calls stand
        self.write("function", function.__module__, function.__qualname__)
        self.add(function.__defaults__, ())
        self.add(tuple(sorted((function.__kwdefaults__ or {}).items())), ())
        for cell in function.__closure__ or ():
            self.add(cell.cell_contents, function.__code__.co_names)
        self._add_code(function.__code__, function.__globals__)

    def add_type(self, of: Any) -> None:
        """The type of an argument; the names of a named tuple's fields, which are places in compiled code, with it."""
        if isinstance(of, types.Dispatcher):
            self.add_kernel(of.dispatcher)
            return
        self.write(str(of))
        if isinstance(of, types.BaseNamedTuple):
            self.write(of.instance_class.__module__, of.instance_class.__qualname__, of.fields)
        for part in getattr(of, "types", ()) if isinstance(of, types.BaseTuple) else ():
            self.add_type(part)

    def add(self, value: Any, names: tuple[str, ...]) -> None:
        """A value that code reads; of a module, what has one of `names`.

        Raises
        ------
        TypeError : when it cannot be said what of it would be baked in
        """
        kind = type(value)
        if kind in _PLAIN:
            self.write(kind.__name__, value)
        elif isinstance(value, Dispatcher):
            self.add_kernel(value)
        elif isinstance(value, _Intrinsic):
            self.add_function(value._defn)
        elif isinstance(value, ModuleType):
            self._add_module(value, names)
        elif isinstance(value, Enum):
            self.write("member", kind.__module__, kind.__qualname__, value.name)
            self.add(value.value, names)
        elif isinstance(value, np.ndarray | np.generic):
            order = "F" if isinstance(value, np.ndarray) and value.flags.f_contiguous else "C"
            self.write(kind.__name__, value.dtype.descr, value.shape, order, value.tobytes())
        elif isinstance(value, tuple | list | frozenset):
            self.write(kind.__module__, kind.__qualname__, getattr(value, "_fields", None), len(value))
            for part in sorted(value, key=repr) if isinstance(value, frozenset) else value:
                self.add(part, names)
        elif isinstance(value, type):
            self._add_class(value, names)
        elif isinstance(value, np.dtype | types.Type):
            self.write(kind.__qualname__, str(value))
        elif _is_of_tools(value) and hasattr(value, "__name__"):
            self.write("tool", _module_of(value), value.__name__)
        elif isinstance(value, FunctionType):
            self.add_function(value)
        else:
            raise TypeError(f"a kernel reads {value!r}, and what of it would be compiled into it is not known")

    def _add_code(self, code: CodeType, names_of: dict[str, Any]) -> None:
        names = code.co_names
        self.write("code", code.co_code, code.co_exceptiontable, code.co_flags, names, code.co_varnames)
        self.write(code.co_freevars, code.co_cellvars, code.co_argcount, code.co_posonlyargcount)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add_code(constant, names_of)
            else:
                self.add(constant, names)
        for name in names:
            if name in names_of:
                self.write("name", name)
                self.add(names_of[name], names)

    def _add_module(self, module: ModuleType, names: tuple[str, ...]) -> None:
        self.write("module", module.__name__)
        if not _is_of_tools(module):
            for name in names:
                if hasattr(module, name):
                    self.write("name", name)
                    self.add(getattr(module, name), names)

    def _add_class(self, of: type, names: tuple[str, ...]) -> None:
        self.write("class", of.__module__, of.__qualname__)
        if issubclass(of, tuple) and hasattr(of, "_fields"):
            self.write(of._fields)
            self.add(tuple(of._field_defaults.items()), names)  # type: ignore[attr-defined]
        elif issubclass(of, Enum):
            for member in of:
                self.add(member, names)
        elif not (_is_of_tools(of) or issubclass(of, BaseException)):
            raise TypeError(f"a kernel reads {of!r}, and what of it would be compiled into it is not known")


def _is_of_tools(value: Any) -> bool:
    return _module_of(value).partition(".")[0] in _TOOLS


def _module_of(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    return getattr(value, "__module__", None) or type(value).__module__


def _read(path: Path) -> bytes | None:
    """What `_write` wrote; None: nothing, or not all of it reached the disk."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[4:]
    return data if zlib.crc32(data).to_bytes(4) == content[:4] else None


def _write(path: Path, data: bytes) -> None:
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        aside.write_bytes(zlib.crc32(data).to_bytes(4) + data)
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
