"""Where `nextproduct compile` has run, a service compiles nothing; where it has not, its log says so."""

import json
import subprocess
import sys

import numba
import pytest

from features import kernels
from features.errors import NotReady
from features.kernels import kernel
from serving.deployment import compilation
from tests.command import in_process

from .changing import follower


def looked_for(*arguments):
    words = [sys.executable, "-m", "tests.serving.deployment.lookups", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


class TestWhatIsLookedFor:
    """In processes of their own, by the names of files: code is compiled, or found, for exactly these arguments."""

    def test_all_was_compiled_ahead(self, trained):
        ahead, served = looked_for("ahead"), looked_for("list", trained)
        assert len(served) > 50
        assert served - ahead == set()

    def test_all_of_a_service_was_before_it_listens(self, trained):
        """Broken before: the first block of more than 32 customers compiled while everybody waited, and who did for
        five seconds was refused."""
        assert looked_for("serve", trained) - looked_for("start", trained) == set()


class TestCommand:
    @pytest.fixture(autouse=True)
    def _nothing_to_answer(self, monkeypatch):
        monkeypatch.setattr(compilation, "_small_ones", lambda scratch: ())

    def test_it_says_that_there_was_nothing_to_do(self):
        done = in_process("compile")
        assert (done.returncode, done.stderr) == (0, "All was compiled already, which took 0 s to find out.\n")

    def test_it_counts_what_it_compiled(self, monkeypatch, tmp_path):
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

        def compiling(scratch):
            assert _one_more(1) == 2
            return ()

        monkeypatch.setattr(compilation, "_small_ones", compiling)
        done = in_process("compile")
        assert (done.returncode, done.stderr) == (
            0,
            "1 functions compiled in 0 s: a service compiles nothing at its start.\n",
        )

    def test_it_fails_where_nothing_can_be_kept(self, monkeypatch):
        """An image would be built that compiles at each start."""
        monkeypatch.setattr(kernels, "_failures", ["what is compiled cannot be kept, neither in A nor in B (Full)"])
        with pytest.raises(NotReady, match=r"neither in A nor in B \(Full\): let whoever compiles write there"):
            compilation.compile_ahead()


@kernel
def _one_more(value):
    return value + 1


@kernel
def _two_more(value):
    return value + 2


def test_a_service_that_compiles_says_so_and_what_to_do(workspace, monkeypatch, tmp_path, caplog):
    running = follower(workspace)
    running.start()
    try:
        said = len(caplog.messages)
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
        _two_more(1)
        _two_more(1.0)  # another kind of argument
    finally:
        running.stop()
    (line,) = caplog.messages[said:]
    assert line.startswith("compiling tests.serving.deployment.test_compilation._two_more and perhaps more")
    assert "run `nextproduct compile` where the service is installed" in line
    assert caplog.records[-1].levelname == "WARNING"
    _two_more(1j)
    assert len(caplog.messages) == said + 1  # it has stopped
