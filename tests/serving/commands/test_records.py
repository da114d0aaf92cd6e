"""The commands on the records, as a user runs them."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from features.errors import BadConfiguration, BadInput, NotFound, NotReady
from serving.commands.records import app
from serving.records import Entry, erase, new_entry_id
from serving.records.queue_files import QueueFiles
from tests.serving.records.places import decision, event, every_entry


def run(*arguments, answer=None):
    return CliRunner().invoke(app, [*map(str, arguments)], input=answer, env={"COLUMNS": "160", "NO_COLOR": "1"})


def succeeded(*arguments, answer=None):
    done = run(*arguments, answer=answer)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(error, *arguments):
    """What the command says when it ends with an error."""
    done = run(*arguments)
    assert done.exit_code == 1
    assert isinstance(done.exception, error), done.exception
    return str(done.exception)


@pytest.fixture
def filled(place):
    """Four entries; the settings stand in the workspace."""
    if place.database:
        (place.workspace / "nextproduct.toml").write_text(f'[serving.records]\ndatabase = "{place.database}"\n')
    with place.opened() as records:
        records.append_now([
            decision("C1", '{"说": "基金"}'.encode(), at="2026-01-01T12:00:00.000000Z", entry_id="first"),
            event("C2", b"\xff"),
            decision("C1", at="2026-01-02T12:00:00.000000Z"),
            event("C1"),
        ])  # fmt: skip
    return place


def heads(place):
    with place.opened(writable=False) as records:
        return str(records.head)


class TestVerify:
    def test_whole(self, filled):
        said = succeeded("verify", filled.workspace)
        assert said.splitlines() == [
            "4 entries, whole.",
            f"Head: {heads(filled)}",
            "Keep this line elsewhere: --anchor with it finds out later whether the end was cut off.",
        ]
        assert "whole" in succeeded("verify", filled.workspace, "--anchor", heads(filled))

    def test_as_json(self, filled):
        assert json.loads(succeeded("verify", filled.workspace, "--json")) == {
            "entries": 4, "head": heads(filled), "sound": True, "problems": [], "problem_count": 0,
        }  # fmt: skip

    def test_tampered_with(self, filled):
        with filled.tampering() as connection:
            connection.exec_driver_sql("UPDATE entries SET customer_id = 'C3' WHERE seq = 2")
        done = run("verify", filled.workspace)
        assert done.exit_code == 1
        assert done.stdout.splitlines()[:2] == [
            "Problem: entry 2: customer, salt, payload or digest was changed.",
            "4 entries, NOT as they were written.",
        ]
        assert "Keep this line" not in done.stdout
        done = run("verify", filled.workspace, "--json")
        assert (done.exit_code, json.loads(done.stdout)["sound"]) == (1, False)

    def test_cut_off(self, filled):
        noted = heads(filled)
        with filled.tampering() as connection:
            connection.exec_driver_sql("DELETE FROM entries WHERE seq = 4")
        assert run("verify", filled.workspace).exit_code == 0
        done = run("verify", filled.workspace, "--anchor", noted)
        assert (done.exit_code, "the end was cut off" in done.stdout) == (1, True)

    def test_only_what_came_after_a_head_noted_earlier(self, filled):
        noted = heads(filled)
        with filled.opened() as records:
            records.append_now([decision("C1")])
        assert succeeded("verify", filled.workspace, "--since-anchor", noted).splitlines()[0] == (
            "1 entries after entry 4, whole."
        )
        assert json.loads(succeeded("verify", filled.workspace, "--since-anchor", noted, "--json"))["since"] == noted
        done = run("verify", filled.workspace, "--since-anchor", f"4:{'0' * 64}")
        assert (done.exit_code, "the chain was written anew" in done.stdout) == (1, True)

    def test_an_anchor_that_is_none(self, filled):
        assert "expected SEQ:HEX" in refused(BadInput, "verify", filled.workspace, "--anchor", "4")

    def test_many_problems_are_counted(self, sqlite):
        with sqlite.opened() as records:
            records.append_now([decision() for _ in range(120)])
        with sqlite.tampering() as connection:
            connection.exec_driver_sql("UPDATE entries SET payload = x'00'")
        assert "and 20 more problems." in run("verify", sqlite.workspace).stdout


class TestShow:
    def test_lists_the_newest(self, filled):
        said = succeeded("show", filled.workspace)
        assert "4 entries" in said
        assert "2026-01-01T12:00:00.000000Z" in said
        assert "2 entries" in succeeded("show", filled.workspace, "--last", 2)
        assert "3 entries" in succeeded("show", filled.workspace, "--customer", "C1")

    def test_as_json_says_all(self, filled):
        lines = succeeded("show", filled.workspace, "--json", "--last", 4).splitlines()
        first, second = json.loads(lines[0]), json.loads(lines[1])
        assert first == {
            "seq": 1, "at": "2026-01-01T12:00:00.000000Z", "kind": "decision", "entry_id": "first",
            "customer_id": "C1", "erased": False, "payload": {"说": "基金"},
        }  # fmt: skip
        assert "基金" in lines[0]
        assert second["payload"] == "\ufffd"
        assert len(succeeded("show", filled.workspace, "--json", "--kind", "event").splitlines()) == 2

    def test_pages(self, filled):
        """Each says how to get the next; only the last says nothing."""
        chosen = ("--json", "--last", 2, "--since", "2026-01-01")
        page = run("show", filled.workspace, *chosen)
        assert [json.loads(line)["seq"] for line in page.stdout.splitlines()] == [3, 4]
        said = page.stderr.strip().removeprefix("Older ones: nextproduct log ")
        assert said == f"show {filled.workspace} --since 2026-01-01 --last 2 --before 3 --json"
        page = run(*shlex.split(said))
        assert [json.loads(line)["seq"] for line in page.stdout.splitlines()] == [1, 2]
        assert page.stderr == ""

    def test_choices_hold_together(self, filled):
        def seqs(*chosen):
            return [
                json.loads(line)["seq"]
                for line in succeeded("show", filled.workspace, "--json", *chosen).split("\n")[:-1]
            ]

        assert seqs("--since", "2026-01-02") == [2, 3, 4]
        assert seqs("--since", "2026-01-02T12:00:00.000001") == [2, 4]
        assert seqs("--since", "2026-01-02T20:00+08:00", "--customer", "C1") == [3, 4]
        assert seqs("--since", "2026-01-02T20:01+08:00", "--customer", "C1") == [4]
        assert seqs("--customer", "C1", "--kind", "decision", "--before", 3) == [1]

    @pytest.mark.parametrize("since", ["yesterday", "2026-02-30", ""])
    def test_a_time_that_is_none_is_refused(self, filled, since):
        assert "is no date or time such as" in refused(BadInput, "show", filled.workspace, "--since", since)

    def test_an_unknown_kind_is_refused(self, filled):
        assert "there are: decision, " in refused(BadInput, "show", filled.workspace, "--kind", "wish")


class TestLooks:
    def test_names_who_looked(self, filled):
        caller = {"subject": "li", "role": "rm", "how": "token"}
        said = json.dumps({"what": "overview", "caller": caller, "from": "10.0.0.7", "request_id": "r1", "times": 2})
        with filled.opened() as records:
            records.append_now([Entry("access", new_entry_id(), "C1", said.encode())])
        shown = succeeded("looks", filled.workspace, "--customer", "C1")
        assert "2 looks at customer C1" in shown
        assert all(word in shown for word in ("overview", "li", "10.0.0.7", "r1"))
        (line,) = succeeded("looks", filled.workspace, "--customer", "C1", "--json").splitlines()
        assert json.loads(line)["caller"] == caller
        assert succeeded("looks", filled.workspace, "--customer", "C1", "--since", "2100-01-01", "--json") == ""


class TestExport:
    def test_writes_what_is_held_and_says_so(self, filled, tmp_path):
        said = succeeded("export", filled.workspace, "C1", "--out", tmp_path / "C1.json", "--by", "officer")
        assert said.startswith(f"4 entries of customer C1 in {tmp_path / 'C1.json'}, this look among them.\n")
        assert len(json.loads((tmp_path / "C1.json").read_bytes())["entries"]) == 4
        (line,) = succeeded("looks", filled.workspace, "--customer", "C1", "--json").splitlines()
        assert (json.loads(line)["what"], json.loads(line)["caller"]["subject"]) == ("export", "officer")

    def test_a_place_that_cannot_be_written_leaves_no_entry(self, filled, tmp_path):
        assert "no folder" in refused(BadInput, "export", filled.workspace, "C1", "--out", tmp_path / "none" / "a.json")
        assert "4 entries, whole" in succeeded("verify", filled.workspace)


class TestFacts:
    def test_only_as_parquet(self, filled, tmp_path):
        assert "name" in refused(BadInput, "facts", filled.workspace, "--out", tmp_path / "facts.csv")

    def test_says_what_is_not_in_it(self, sqlite, tmp_path):
        with sqlite.opened() as records:
            records.append_now([decision("C1")])
            erase(records, "C1", reason="asked", by="test")
        assert succeeded("facts", sqlite.workspace, "--out", tmp_path / "facts.parquet").splitlines() == [
            f"0 suggestions of 0 decisions in {tmp_path / 'facts.parquet'}.",
            "Not in it: 0 decisions that suggested nothing, 1 erased or forgotten.",
        ]


class TestRoom:
    def test_what_was_given_back_is_said(self, sqlite):
        with sqlite.opened() as records:
            records.append_now([decision("C1", bytes(4_000_000)), decision("C2")])
        said = succeeded("erase", sqlite.workspace, "C1", "--reason", "asked", "--yes")
        assert said.splitlines()[1] == "4.0 MB given back to the disk."


class TestBackup:
    def test_is_verified_and_shown_like_the_records(self, filled, tmp_path):
        out = tmp_path / "copies" / "log.db"
        out.parent.mkdir()
        said = succeeded("backup", filled.workspace, out)
        assert said.splitlines() == [f"{out} holds all entries up to 4.", f"Head: {heads(filled)}"]
        assert succeeded("verify", out) == succeeded("verify", filled.workspace)
        assert succeeded("show", out, "--json") == succeeded("show", filled.workspace, "--json")
        assert list(out.parent.iterdir()) == [out]

    def test_a_place_that_is_none_or_taken_is_refused(self, filled, tmp_path):
        assert "there is no folder" in refused(BadInput, "backup", filled.workspace, tmp_path / "none" / "log.db")
        (tmp_path / "log.db").touch()
        assert "is there already" in refused(BadInput, "backup", filled.workspace, tmp_path / "log.db")

    def test_says_what_waits_in_files(self, filled, tmp_path):
        queue = QueueFiles(filled.workspace)
        queue.append([[decision("C1", at="2026-11-01T12:00:00.000000Z")]])
        assert "Not in it: the decisions in 1 files" in succeeded("backup", filled.workspace, tmp_path / "log.db")
        queue.put_aside()


class TestErase:
    def test_asks_first(self, filled):
        arguments = ("erase", filled.workspace, "C1", "--reason", "asked")
        assert run(*arguments, answer="n\n").exit_code == 1
        assert "4 entries, whole" in succeeded("verify", filled.workspace)
        assert "3 entries emptied" in succeeded(*arguments, answer="y\n")
        with filled.opened(writable=False) as records:
            entries = every_entry(records)
        assert [entry.customer_id for entry in entries] == [None, "C2", None, None, None]
        assert json.loads(succeeded("show", filled.workspace, "--json", "--last", 2).splitlines()[0])["erased"]
        assert "5 entries, whole" in succeeded("verify", filled.workspace)

    def test_says_who_asked(self, filled):
        succeeded("erase", filled.workspace, "C1", "--reason", "asked", "--by", "officer", "--yes")
        (line,) = succeeded("show", filled.workspace, "--kind", "erasure", "--json").splitlines()
        assert json.loads(line)["payload"] == {"by": "officer", "erased": [[1, 1], [3, 4]], "reason": "asked"}

    def test_who_is_not_there(self, filled):
        assert "nothing of customer C9" in refused(
            NotFound, "erase", filled.workspace, "C9", "--reason", "asked", "--yes"
        )

    def test_needs_a_reason(self, filled):
        done = run("erase", filled.workspace, "C1", "--yes")
        assert (done.exit_code, "--reason" in done.output) == (2, True)


class TestForget:
    def test_before_a_day(self, filled):
        said = succeeded("forget", filled.workspace, "--before", "2026-01-02", "--yes")
        assert said == "1 entries emptied; 1 entries say so.\n"
        assert "5 entries, whole" in succeeded("verify", filled.workspace)

    def test_asks_first(self, filled):
        arguments = ("forget", filled.workspace, "--before", "2026-01-02")
        done = run(*arguments, answer="n\n")
        assert (done.exit_code, "before 2026-01-02" in done.output) == (1, True)
        assert "4 entries, whole" in succeeded("verify", filled.workspace)

    def test_by_default_what_the_configuration_keeps(self, filled):
        assert "--before: give the first day" in refused(BadInput, "forget", filled.workspace, "--yes")
        path = filled.workspace / "nextproduct.toml"
        content = path.read_text() if path.is_file() else "[serving.records]\n"
        path.write_text(f"{content}keep_days = 30\n")
        assert "2 entries emptied" in succeeded("forget", filled.workspace, "--yes")


class TestWithoutRecords:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("verify",),
            ("show",),
            ("backup", "copy.db"),
            ("looks", "--customer", "C1"),
            ("export", "C1", "--out", "C1.json"),
            ("facts", "--out", "facts.parquet"),
            ("erase", "C1", "--reason", "asked", "--yes"),
            ("forget", "--before", "2026-01-01", "--yes"),
        ],
    )
    def test_a_workspace_without_any_says_so_and_stays_so(self, tmp_path, arguments):
        command, *rest = arguments
        assert "has no records yet" in refused(NotReady, command, tmp_path, *rest)
        assert list(tmp_path.iterdir()) == []

    def test_settings_that_are_wrong(self, tmp_path):
        (tmp_path / "nextproduct.toml").write_text('[serving.records]\non_failure = "hope"\n')
        assert "serving.records.on_failure" in refused(BadConfiguration, "verify", tmp_path)
