"""The commands for tokens and keys, as a user runs them."""

import json
import re
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from features.contracts import BRANCH_ID, RM_ID
from features.errors import BadInput, NotFound, NotReady
from features.states import current_states
from serving.access import AccessConfig, Authenticator, Role, create_demo_key, list_api_keys
from serving.access.api_keys import API_KEYS_FILE
from serving.access.whose import check_whose
from serving.commands.access import app
from tests.command import python
from tests.serving.deployment.changing import deploy

# as the command `nextproduct` takes them in
COMMANDS = typer.Typer()
COMMANDS.add_typer(app)


def run(*arguments):
    return CliRunner().invoke(COMMANDS, [*map(str, arguments)])


def without_end(workspace):
    """Make the keys of a workspace as they were made when keys needed no end."""
    path = workspace / API_KEYS_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in content["keys"]:
        key["expires_at"] = None
    path.write_text(json.dumps(content), encoding="utf-8")


def succeeded(*arguments):
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done


@pytest.fixture
def bank(own):
    """A workspace of a bank's customers, and the demonstration's key."""
    workspace, _ = own
    create_demo_key(workspace)
    return workspace


def names_in(workspace, column):
    return current_states(workspace).profile.vocabularies[column]


def whose(workspace, authorization=None, api_key=None):
    return Authenticator.of(workspace, AccessConfig()).authenticate(authorization, api_key)


class TestToken:
    @pytest.fixture
    def workspace(self, tmp_path):
        create_demo_key(tmp_path)
        return tmp_path

    def test_it_prints_the_token_and_nothing_else(self, bank):
        branch = names_in(bank, BRANCH_ID)[0]
        done = succeeded("token", bank, "--role", "team_lead", "--branch", branch, "--subject", "li.wei", "--ttl", "60")
        (token,) = done.stdout.splitlines()
        assert done.stderr == ""
        found = whose(bank, f"Bearer {token}")
        assert (found.subject, found.role, found.branch_id) == ("li.wei", Role.TEAM_LEAD, branch)

    def test_an_rm_s(self, workspace):
        token = succeeded("token", workspace, "--role", "rm", "--rm", "RM01").stdout.strip()
        assert whose(workspace, f"Bearer {token}").rm_id == "RM01"

    def test_an_rm_without_an_id_is_refused(self, workspace):
        assert isinstance(run("token", workspace, "--role", "rm").exception, BadInput)

    def test_a_workspace_without_a_key_says_so(self, tmp_path):
        assert isinstance(run("token", tmp_path, "--role", "analyst").exception, NotReady)

    @pytest.mark.parametrize("options", [["--role", "root"], ["--role", "analyst", "--ttl", "0"], []])
    def test_impossible_options_are_refused(self, workspace, options):
        assert run("token", workspace, *options).exit_code == 2

    def test_one_that_the_service_would_refuse_is_not_made(self, workspace):
        config = workspace / "nextproduct.toml"
        config.write_text("[serving.access]\nmax_token_seconds = 600\n", encoding="utf-8")
        refused = run("token", workspace, "--role", "analyst", "--ttl", "601").exception
        assert isinstance(refused, BadInput)
        assert "a token lasts 1 to 600 seconds, not 601" in str(refused)
        succeeded("token", workspace, "--role", "analyst", "--ttl", "600")


class TestWhose:
    """Broken before: whoever misspelt an RM got a token that sees nobody, and was told nothing."""

    @pytest.mark.parametrize("command", [["token"], ["key", "create", "--name", "CRM"]])
    @pytest.mark.parametrize(
        ("role", "option", "column", "kind"),
        [("rm", "--rm", RM_ID, "RM"), ("team_lead", "--branch", BRANCH_ID, "branch")],
    )
    def test_of_whom_there_are_no_customers_is_refused(self, bank, command, role, option, column, kind):
        known = names_in(bank, column)
        misspelt = f"{known[0]}x"
        refused = run(*command, bank, "--role", role, option, misspelt).exception
        assert isinstance(refused, NotFound)
        assert str(refused).startswith(f"{option} {misspelt}: no customer in use in {bank} has this {kind}; ")
        assert re.search(rf"spelt most like it: {known[0]}(,|$)", str(refused))
        assert list_api_keys(bank) == ()
        succeeded(*command, bank, "--role", role, option, known[0])

    def test_who_had_customers_once_has_none(self, bank):
        """Those in use count, not those of a build that was never put into use."""
        states = current_states(bank)
        rm = names_in(bank, RM_ID)[0]
        deploy(bank, by="li")
        check_whose(states, rm, None, bank)
        gone = SimpleNamespace(
            profile=states.profile, as_of_period=states.as_of_period,
            known_at=lambda period: np.zeros(0, dtype=np.int64),
        )  # fmt: skip
        with pytest.raises(NotFound, match="have no rm_id at all"):
            check_whose(gone, rm, None, bank)

    def test_without_customers_it_says_that_it_could_not_check(self, tmp_path):
        done = succeeded("key", "create", tmp_path, "--name", "CRM", "--role", "rm", "--rm", "RM01")
        assert "RM01 cannot be checked: no customer states" in done.stderr


class TestKeys:
    def test_it_has_an_end_whoever_says_nothing(self, tmp_path):
        succeeded("key", "create", tmp_path, "--name", "CRM", "--role", "analyst")
        (kept,) = list_api_keys(tmp_path)
        assert kept.expires_at - kept.created_at == timedelta(days=90)

    def test_it_lasts_as_long_as_is_allowed(self, tmp_path):
        new = ["key", "create", tmp_path, "--name", "CRM", "--role", "analyst", "--days"]
        assert "a key lasts 1 to 365 days, not 366" in str(run(*new, 366).exception)
        (tmp_path / "nextproduct.toml").write_text("[serving.access]\nmax_key_days = 10\n", encoding="utf-8")
        assert "a key lasts 1 to 10 days, not 11" in str(run(*new, 11).exception)
        assert list_api_keys(tmp_path) == ()
        succeeded(*new, 10)

    def test_one_from_before_that_has_no_end_is_listed_to_be_replaced(self, tmp_path):
        succeeded("key", "create", tmp_path, "--name", "CRM", "--role", "analyst")
        without_end(tmp_path)
        listed = succeeded("key", "list", tmp_path).stdout
        assert "no expiry: made before; replace" in " ".join(listed.replace("│", " ").split())

    def test_from_its_making_to_its_end(self, tmp_path):
        made = succeeded(
            "key", "create", tmp_path, "--name", "CRM", "--role", "rm", "--rm", "RM01", "--branch", "B1", "--days", "30"
        )
        (key,) = made.stdout.splitlines()
        assert "cannot be shown again" in made.stderr
        assert whose(tmp_path, api_key=key).rm_id == "RM01"
        (kept,) = list_api_keys(tmp_path)

        listed = succeeded("key", "list", tmp_path).stdout
        for words in (kept.id, "CRM", "rm", "RM01", "B1", f"{kept.expires_at:%Y-%m-%d}", "active"):
            assert words in listed
        assert key.split("_")[2] not in listed
        assert kept.sha256 not in listed

        assert f"{kept.id} is revoked" in succeeded("key", "revoke", tmp_path, kept.id).stdout
        assert "revoked" in succeeded("key", "list", tmp_path).stdout

    def test_none_is_said(self, tmp_path):
        assert "has no keys" in succeeded("key", "list", tmp_path).stdout

    def test_an_unknown_one_is_not_revoked(self, tmp_path):
        assert isinstance(run("key", "revoke", tmp_path, "abc").exception, NotFound)

    @pytest.mark.parametrize("options", [["--role", "analyst"], ["--name", "CRM", "--role", "root"]])
    def test_impossible_options_are_refused(self, tmp_path, options):
        assert run("key", "create", tmp_path, *options).exit_code == 2
        assert list(tmp_path.iterdir()) == []


def test_help_does_not_pay_for_cryptography():
    done = python("import sys, serving.commands.access\nprint(*sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "serving" in loaded
    assert not loaded & {"jwt", "cryptography", "pydantic", "fastapi"}


@pytest.mark.parametrize("words", [["token"], ["key"], ["key", "create"], ["key", "list"], ["key", "revoke"]])
def test_each_explains_itself(words):
    assert "Usage" in succeeded(*words, "--help").output
