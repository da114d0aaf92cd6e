"""Compiled code is never stale, whatever file a change is in, and nothing else compiles it anew."""

import importlib
import pkgutil
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import features
import serving
import training
from features.kernels import kernel, watched
from tests.command import python

PROJECT = Path(__file__).parents[2]
ROOMS = (features, training, serving)

CONSTANTS = """\
from collections import namedtuple
import numpy as np
TWO = 2
TABLE = np.array([1.0, 2.0])
PAIR = (1, 2.5)
Amounts = namedtuple("Amounts", "first second")
"""
HELPERS = """\
from features.kernels import kernel
from . import constants
@kernel
def doubled(value):
    return value * constants.TWO
@kernel(inline="always")
def inlined(value):
    return value + 1
"""
SUMS = """\
from features.kernels import kernel
from . import constants, helpers
from .constants import PAIR, TABLE, Amounts
from .helpers import inlined
@kernel
def total(values, amounts):
    made = Amounts(*values)
    return helpers.doubled(values[0]) + inlined(TABLE[1]) + PAIR[1] + 10 * amounts.first + 100 * made.first
@kernel
def untouched(value):
    return value
@kernel(error_model="python")
def inverse(value):
    return 1 / value
"""
RIGHT = 2 * 3.0 + (2.0 + 1) + 2.5 + 10 * 5.0 + 100 * 3.0
NAMES = ["sums.total", "helpers.doubled"]


class House:
    """Three modules that bake in each other's contents, imported anew, with what is compiled kept beside them."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder / "house"
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)  # its own look at files has the granularity of a second
        self.folder.mkdir()
        for name, text in (("__init__", ""), ("constants", CONSTANTS), ("helpers", HELPERS), ("sums", SUMS)):
            (self.folder / f"{name}.py").write_text(text, encoding="utf-8")

    def edit(self, name, old, new):
        file = self.folder / f"{name}.py"
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), encoding="utf-8")

    def sums(self):
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
            del sys.modules[name]
        return importlib.import_module("house.sums")

    def total(self):
        """What a process that starts now gets, and what it compiles."""
        sums, compiled = self.sums(), []
        with watched(compiled.append):
            found = sums.total((3.0, 4.0), sums.Amounts(5.0, 6.0))
        return found, [name.removeprefix("house.") for name in compiled]

    def kept(self):
        return sorted(path.name for path in self.folder.rglob("*.nbc"))


@pytest.fixture
def house(tmp_path, monkeypatch):
    yield House(tmp_path, monkeypatch)
    for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
        del sys.modules[name]


class TestWhatIsBakedIn:
    def test_what_was_compiled_is_read_again(self, house):
        assert house.total() == (RIGHT, NAMES)
        assert house.total() == (RIGHT, [])

    @pytest.mark.parametrize(
        ("name", "old", "new", "expected"),
        [
            pytest.param("constants", "TWO = 2", "TWO = 4", RIGHT + 2 * 3.0, id="of a module that a helper names"),
            pytest.param("constants", "[1.0, 2.0]", "[1.0, 3.0]", RIGHT + 1, id="of an array"),
            pytest.param("constants", "2.5", "3.5", RIGHT + 1, id="of a tuple"),
            pytest.param("helpers", "value + 1", "value + 2", RIGHT + 1, id="of an inlined function"),
            pytest.param("helpers", "value * constants", "3 * constants", RIGHT, id="of a function that is called"),
            pytest.param(
                "constants",
                '"first second"',
                '"second first"',
                RIGHT + 10 * 1.0 + 100 * 1.0,
                id="of the order of a named tuple's fields, an argument's too",
            ),
        ],
    )
    def test_a_change_in_another_file_is_seen(self, house, name, old, new, expected):
        house.total()
        before = house.kept()
        house.edit(name, old, new)
        found, compiled = house.total()
        assert found == expected
        assert "sums.total" in compiled
        assert house.total() == (expected, [])
        assert len(house.kept()) == len(before)  # what nobody reads any more is gone

    def test_the_order_of_an_arguments_fields_is_seen_where_no_function_names_its_class(self, tmp_path, monkeypatch):
        house = House(tmp_path, monkeypatch)
        house.edit("sums", "made = Amounts(*values)", "made = amounts")
        assert house.total()[0] == 2 * 3.0 + (2.0 + 1) + 2.5 + 10 * 5.0 + 100 * 5.0
        house.edit("constants", '"first second"', '"second first"')
        assert house.total()[0] == 2 * 3.0 + (2.0 + 1) + 2.5 + 10 * 6.0 + 100 * 6.0

    def test_a_changed_option_is_seen(self, house):
        with pytest.raises(ZeroDivisionError):
            house.sums().inverse(0.0)
        house.edit("sums", '"python"', '"numpy"')
        assert house.sums().inverse(0.0) == np.inf

    def test_what_moved_to_another_file_is_compiled_anew(self, house):
        """What is kept names the modules of the functions that it calls, and could not be read without them."""
        house.edit("sums", "import inlined", "import doubled, inlined")
        house.edit("sums", "helpers.doubled(", "doubled(")
        house.total()
        (house.folder / "helpers.py").rename(house.folder / "aids.py")
        house.edit("sums", "from . import constants, helpers", "from . import constants, aids as helpers")
        house.edit("sums", "from .helpers import", "from .aids import")
        assert house.total() == (RIGHT, ["sums.total", "aids.doubled"])
        assert house.total() == (RIGHT, [])

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            pytest.param("constants", "TWO = 2", "TWO = 1 + 1", id="another way to write a constant"),
            pytest.param("constants", "import numpy as np", "import numpy as np\nA = 7", id="what is not read"),
            pytest.param("sums", "return value\n", "return value + 1\n", id="another function of its file"),
            pytest.param("sums", "@kernel\ndef total", "# moved\n\n@kernel\ndef total", id="its place in the file"),
        ],
    )
    def test_other_changes_compile_nothing(self, house, name, old, new):
        house.total()
        house.edit(name, old, new)
        assert house.total() == (RIGHT, [])

    def test_new_times_of_the_files_compile_nothing(self, house):
        """As after a check-out or `pip install`."""
        house.total()
        for file in house.folder.glob("*.py"):
            file.touch()
        assert house.total() == (RIGHT, [])

    def test_what_cannot_be_looked_into_is_refused_and_not_guessed(self):
        @kernel
        def asks(value):
            return value if _UNKNOWN is None else 0

        with pytest.raises(TypeError, match=r"a kernel reads <object object .*>, and what of it would be compiled"):
            asks(1)


_UNKNOWN = object()


class TestFiles:
    def test_half_a_file_counts_as_none(self, house):
        """After a power failure, say."""
        house.total()
        for file in house.folder.rglob("*.nbc"):
            file.write_bytes(file.read_bytes()[:-7])
        assert house.total() == (RIGHT, NAMES)
        assert house.total() == (RIGHT, [])

    def test_processes_may_compile_the_same_at_once(self, house):
        words = [sys.executable, "-c", _TOTAL]
        running = [
            subprocess.Popen(words, cwd=house.folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        said = [process.communicate() for process in running]
        assert said == [(f"{RIGHT}\n", "")] * 3
        assert house.total() == (RIGHT, [])
        assert len(list(house.folder.rglob("*.nbc*"))) == 2

    def test_what_was_compiled_is_used_where_nothing_can_be_written(self, house):
        """An image whose files belong to somebody else: numba alone would look elsewhere, and compile at each start."""
        house.total()
        done = _run(house.folder.parent, _NOTHING_WRITTEN + _REFUSED + _TOTAL)
        assert (done.stdout, done.stderr) == (f"{RIGHT}\n", "")

    def test_where_nothing_can_be_written_it_compiles_and_says_so(self, house):
        done = _run(house.folder.parent, _NOTHING_WRITTEN + _TOTAL)
        assert done.stdout == f"{RIGHT}\n"
        assert done.stderr.startswith("what is compiled cannot be kept, neither in ")
        assert done.stderr.endswith(" (File too large): every start compiles\n")
        assert done.stderr.count("\n") == 1
        assert house.kept() == []

    def test_the_users_folder_takes_what_an_installation_does_not(self, house, tmp_path, monkeypatch):
        (house.folder / "__pycache__").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
        assert house.total() == (RIGHT, NAMES)
        assert len(list((tmp_path / "own").rglob("*.nbc"))) == 2
        assert house.total() == (RIGHT, [])


_TOTAL = """
import sys
sys.dont_write_bytecode = True
from house.sums import Amounts, total
print(total((3.0, 4.0), Amounts(5.0, 6.0)))
"""
_NOTHING_WRITTEN = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
"""
_REFUSED = """
from features import kernels
def refuse(name): raise AssertionError(name)
kernels._watching.append(refuse)
"""


def _run(folder, code):
    return python(f"import os; os.chdir({str(folder)!r}); import sys; sys.path.insert(0, '')\n{code}")


class TestTheHouse:
    def test_every_compiled_function_is_a_kernel_of_which_all_is_known(self):
        found = {}
        for room in ROOMS:
            for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
                if ".migrations." not in module.name:  # alembic runs those
                    for value in vars(importlib.import_module(module.name)).values():
                        if isinstance(value, Dispatcher):
                            found[id(value)] = value
        assert len(found) > 150
        codegen = types.SimpleNamespace(magic_tuple=tuple)
        names = {
            (Path(each.py_func.__code__.co_filename).parent, each._cache._name((), codegen)) for each in found.values()
        }
        assert len(names) == len(found)

    def test_nobody_compiles_in_another_way(self):
        files = [file for room in ROOMS for file in Path(room.__file__).parent.rglob("*.py")]
        assert len(files) > 200
        assert [str(file) for file in files if "njit" in file.read_text()] == [str(PROJECT / "features/kernels.py")]

    @pytest.fixture
    def copy(self, tmp_path):
        for room in ROOMS:
            source = Path(room.__file__).parent
            shutil.copytree(source, tmp_path / room.__name__, ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path

    def test_two_outcomes_swapped_in_the_contract_do_not_change_a_decision(self, copy):
        """With what had been compiled before, a customer who had said "later" was not raised when the time had come."""
        for contract in (
            '("accepted", "declined", "later", "no_answer")',
            '("accepted", "later", "declined", "no_answer")',
        ):
            file = copy / "features/contracts.py"
            text = file.read_text(encoding="utf-8")
            line = next(line for line in text.splitlines() if line.startswith("OUTCOMES = "))
            file.write_text(text.replace(line, f"OUTCOMES = {contract}"), encoding="utf-8")
            done = _run(copy, _RAISED)
            assert (done.stdout, done.stderr) == ("[[ True False]] True\n", "")
        done = _run(copy, _RAISED)
        assert (done.stdout, done.stderr) == ("[[ True False]] False\n", "")

    def test_a_models_constant_of_another_file_is_seen(self, copy):
        """How many acquisitions a product needs to stand on its own."""
        fallback = copy / "training/probabilities/fallback.py"
        text = fallback.read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("ENOUGH = "))
        for enough, hardly_known in ((50, False), (51, True)):
            fallback.write_text(text.replace(line, f"ENOUGH = {enough}"), encoding="utf-8")
            done = _run(copy, _HARDLY_KNOWN)
            assert (done.stdout, done.stderr) == (f"(False, False, {hardly_known})\n", "")


_RAISED = """
import numpy as np
from features.contracts import OUTCOMES
from features.kernels import watched
from serving.decisions.fresh import FreshEvents
from serving.decisions.layers import contact_policy
from serving.decisions.layers.contact_policy import ComplaintLog, ContactLog, ContactTables

def one(value, kind): return np.array([value], dtype=kind)
none = np.zeros(2, np.int64)
log = ContactLog(
    indptr=np.array([0, 1]), happened_on=one(100, "i4"), known_on=one(100, "i4"), products=one(0, "i2"),
    channel_codes=one(0, "i2"), treated=one(1, "i2"), outcome_codes=one(0, "i2"), outcome_known_on=one(100, "i4"),
    conversations=np.empty(0, np.int64), outcomes=one(OUTCOMES.index("later"), "i1"), channels=one(1, "i1"),
)
no_rules = [np.empty(0, dtype) for dtype in ("i1", "i4", "i4", "i4", "i1", "u4")]
tables = ContactTables(*no_rules, np.zeros(2, np.int16), np.array([30, 30], np.int32), True)
silences = np.zeros((1, 2), np.uint64), np.zeros((1, 2), bool), np.zeros(1, bool)
compiled = []
with watched(compiled.append):
    contact_policy.rows(
        0, 1, np.array([0]), log, ComplaintLog(none, one(0, "i4"), one(0, "i4")), np.zeros((1, 2), np.int64),
        FreshEvents.none().arrays, one(1, "i1"), 140, tables, *silences,
    )
print(silences[1], bool(compiled))
"""
_HARDLY_KNOWN = """
import numpy as np
from training.bundle.bundle import _look_up
print(_look_up(np.zeros((1, 1), np.int64), np.ones((1, 1), bool), np.zeros(2, np.int64), np.full(2, 50),
               np.empty((1, 1), np.int64)))
"""
