"""The commands on the policy, as a user runs them."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.errors import BadConfiguration, NotReady
from serving.commands.policy import app
from serving.decisions.policy.loading import load_policy, policy_path, standard_policy_path
from tests.serving.decisions.policy.policy_texts import line_of, write_policy

PACKS = standard_policy_path().parents[1] / "packs"


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def succeeded(*arguments):
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def refused(*arguments):
    """What the command says when it ends with an error."""
    done = run(*arguments)
    assert done.exit_code == 1
    assert isinstance(done.exception, BadConfiguration), done.exception
    return str(done.exception)


@pytest.fixture
def workspace(trained, tmp_path):
    """A workspace with states, to be changed."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copytree(trained / "states", folder / "states")
    return folder


@pytest.fixture
def drafts(tmp_path):
    folder = tmp_path / "drafts"
    folder.mkdir()
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class TestCheck:
    def test_explains_and_says_what_was_not_checked(self, drafts):
        done = succeeded("check", write_policy(drafts))
        assert "[cards] For family cards: aged 18 or more." in done.stdout
        assert "not checked against a bank: add --on WORKSPACE" in done.stdout
        assert "small@1#" in done.stdout

    def test_speaks_chinese(self, drafts):
        assert (
            "【cards】对cards类产品：须年满18岁。"
            in succeeded("check", write_policy(drafts), "--language", "zh").stdout
        )

    def test_against_a_workspace(self, drafts, trained):
        done = succeeded("check", write_policy(drafts), "--on", trained)
        assert "is sound." in done.stdout
        assert "--on" not in done.stdout
        assert "Warning: " in done.stderr  # the small policy lacks tiers and channels of the bank

    def test_what_a_bank_does_not_know_is_refused(self, drafts, trained):
        path = write_policy(drafts, "family: cards", "family: kards")
        assert "not checked" in succeeded("check", path).stdout
        said = refused("check", path, "--on", trained)
        assert said.startswith(f"{path}:{line_of(path, 'kards')}: eligibility[0] (cards).for.family: ")

    def test_in_a_workspace_it_is_checked_against_that(self, workspace):
        path = write_policy(workspace, "family: cards", "family: kards")
        assert "'kards'" in refused("check", path)

    def test_a_broken_file_is_refused_with_every_problem(self, drafts):
        path = write_policy(drafts, "min_age: 18", "min_age: old\n    colour: red")
        assert len(refused("check", path).splitlines()) == 2

    def test_a_workspace_must_have_states(self, drafts, tmp_path):
        done = run("check", write_policy(drafts), "--on", tmp_path)
        assert isinstance(done.exception, NotReady)


BROKEN = {
    "broken file": ("min_age: 18", "min_age: old"),
    "lever without expiry": ("    expires: 2026-12-31\n", ""),
    "unknown product": ("product: credit_card", "product: credit_kard"),
    "impossible ages": ("min_age: 18", "min_age: 66"),
}


class TestUse:
    def test_what_is_put_into_use_is_the_file_byte_for_byte(self, drafts, workspace):
        path = write_policy(drafts)
        assert policy_path(workspace) == standard_policy_path()
        succeeded("use", path, workspace)
        assert policy_path(workspace) == workspace / "policy.yaml"
        assert content(workspace) == {"policy.yaml": path.read_bytes()}
        assert load_policy(workspace / "policy.yaml").name == load_policy(path).name

    @pytest.mark.parametrize("broken", BROKEN)
    def test_what_is_refused_leaves_the_one_in_use_as_it_is(self, drafts, workspace, broken):
        succeeded("use", write_policy(drafts), workspace)
        before = content(workspace)
        refused("use", write_policy(drafts, *BROKEN[broken]), workspace)
        assert content(workspace) == before

    def test_an_interrupted_write_leaves_the_one_in_use_as_it_is(self, drafts, workspace, monkeypatch):
        succeeded("use", write_policy(drafts), workspace)
        before = content(workspace)
        shutil.copy(PACKS / "china.yaml", drafts / "ours.yaml")

        def fail(path, data):
            with path.open("wb") as file:
                file.write(data[:20])
            raise OSError("the disk is full") if path.name.startswith(".policy") else KeyboardInterrupt

        monkeypatch.setattr(Path, "write_bytes", fail)
        assert isinstance(
            run("use", write_policy(drafts, 'version: "1"', 'version: "2"'), workspace).exception, OSError
        )
        assert content(workspace) == before

    def test_without_states_nothing_is_put_into_use(self, drafts, tmp_path):
        done = run("use", write_policy(drafts), tmp_path)
        assert isinstance(done.exception, NotReady)
        assert content(tmp_path) == {}


class TestUseWithAPack:
    """A pack of the bank's own goes along, and never over another one."""

    def test_it_is_copied_beside(self, drafts, workspace):
        shutil.copy(PACKS / "china.yaml", drafts / "ours.yaml")
        path = write_policy(drafts, "pack: china", "pack: ours.yaml")
        succeeded("use", path, workspace)
        succeeded("use", path, workspace)
        assert content(workspace) == content(drafts)
        assert load_policy(workspace / "policy.yaml").name == load_policy(path).name

    def test_another_pack_of_the_name_is_kept(self, drafts, workspace):
        shutil.copy(PACKS / "china.yaml", drafts / "ours.yaml")
        path = write_policy(drafts, "pack: china", "pack: ours.yaml")
        succeeded("use", path, workspace)
        before = content(workspace)
        shutil.copy(PACKS / "mifid.yaml", drafts / "ours.yaml")
        assert "give the new one a name of its own" in refused("use", path, workspace)
        assert content(workspace) == before

    def test_it_must_lie_beside_the_policy(self, drafts, workspace):
        shutil.copy(PACKS / "china.yaml", drafts.parent / "ours.yaml")
        path = write_policy(drafts, "pack: china", "pack: ../ours.yaml")
        assert "put the pack beside the policy" in refused("use", path, workspace)
        assert content(workspace) == {}

    def test_it_may_not_have_the_policys_name(self, drafts, workspace):
        path = write_policy(drafts, "pack: china", "pack: policy.yaml").rename(drafts / "bank.yaml")
        shutil.copy(PACKS / "china.yaml", drafts / "policy.yaml")
        assert "rename the pack" in refused("use", path, workspace)
        assert content(workspace) == {}

    def test_a_policy_that_is_in_place_keeps_its_pack_whatever_happens_then(self, drafts, workspace, monkeypatch):
        shutil.copy(PACKS / "china.yaml", drafts / "ours.yaml")
        path = write_policy(drafts, "pack: china", "pack: ours.yaml")

        def fail_at_the_end(folder):
            if folder == workspace and (workspace / "policy.yaml").exists():
                raise OSError("the disk is gone")

        monkeypatch.setattr("features.files.sync", fail_at_the_end)
        assert isinstance(run("use", path, workspace).exception, OSError)
        assert load_policy(workspace / "policy.yaml").name == load_policy(path).name

    def test_a_policy_that_cannot_be_written_leaves_no_pack(self, drafts, workspace, monkeypatch):
        shutil.copy(PACKS / "china.yaml", drafts / "ours.yaml")
        (workspace / "policy.yaml").mkdir()  # cannot be replaced by a file
        done = run("use", write_policy(drafts, "pack: china", "pack: ours.yaml"), workspace)
        assert isinstance(done.exception, OSError)
        assert content(workspace) == {}
