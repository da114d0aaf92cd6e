"""What the code knows and a page does not tell, or a page tells and the code does not know, fails here."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from features.calendar import Calendar, Frequency
from features.checks import INBOX_CHECK, run_checks
from features.contracts import TABLES
from features.sources import BankTables
from serving.api.problems import MEANINGS
from serving.decisions.reason_codes import Reason
from serving.records.entries import KINDS
from tests.documentation import commands, contract, policy, service
from tests.documentation.pages import FOLDER, PARTS, PROJECT, with_parts
from tests.documentation.settings import docstrings, models_in, sections
from tests.features.sources.small_bank import clean_tables, write_csv
from tests.test_packaging import MODELS

PAGES = sorted(FOLDER.rglob("*.md"))
ALL = [*PAGES, *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
HOUSE = [page for page in ALL if page.name != "CHANGELOG.md"]
"""Pages that speak of what there is now."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def spans(page: Path) -> list[str]:
    """Everything that a page marks as code: blocks, and spans within a line or over its end."""
    text = text_of(page)
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*blocks, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))]


def named(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


class TestWhatTheCodeWrites:
    @pytest.mark.parametrize("page", PARTS)
    def test_a_page_has_it(self, page):
        assert with_parts(page) == text_of(FOLDER / page), f"docs/{page} is not what the code says: run `make docs`"

    def test_every_page_with_such_a_part_is_looked_at(self):
        marked = {named(page) for page in PAGES if "written by `make docs` -->" in text_of(page)}
        assert marked == {f"docs/{page}" for page in PARTS}

    @pytest.mark.parametrize("section", MODELS)
    def test_every_setting_says_what_it_does(self, section):
        for path, model in sections(MODELS[section], section):
            assert silent_in(model) == [], f"{path}: give each of these a docstring below it"

    def test_every_key_of_a_policy_says_what_it_does(self):
        for paths, model in policy.sections():
            if all(path.startswith("triggers.") for path in paths) and paths:
                continue  # their formulas are told
            assert silent_in(model) == [], f"{paths}: give each of these a docstring below it"

    @pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
    def test_every_column_says_what_it_means(self, table):
        assert table.row
        assert [column.name for column in table.columns if not column.meaning] == []

    def test_every_command_and_option_says_what_it_does(self):
        for _, words, command in commands.all_commands():
            assert command.help, words
            assert [each.name for each in command.params if not each.help] == [], words


class TestWhatPeopleWrite:
    """Parts that need words of their own, held to name all there is and nothing else."""

    def test_every_check_is_told(self, tmp_path):
        with BankTables.open(write_csv(tmp_path, clean_tables())) as tables:
            report = run_checks(tables, Calendar(Frequency.MONTH), date(2026, 1, 1))
        found = {result.name for result in report.results} | {rule.name for rule in contract.rules()} | {INBOX_CHECK}
        assert set(self.checks()) == found

    def test_what_a_check_comes_to(self):
        told = self.checks()
        statuses = {}
        for rule in contract.rules():
            statuses.setdefault(rule.name, set()).add(rule.status.value)
        statuses["references"].remove("WARN")  # of payments: said in words
        assert {name: set(told[name].split(" or ")) for name in statuses} == statuses

    def checks(self):
        """The rows of the table of checks: name -> what it comes to where it does not hold."""
        part = text_of(FOLDER / "contract.md").partition("\n## Checks\n")[2].partition("\n## ")[0]
        return {row[0]: row[1] for row in rows_in(part)}

    def test_every_trigger_has_its_formula(self):
        part = text_of(FOLDER / "policy.md").partition("\n## Triggers\n")[2].partition("\n## ")[0]
        terms = part.partition("\n|")[0]
        formulas = {row[0].strip("`"): row[1] for row in rows_in(part)}
        triggers = policy.triggers()
        assert set(formulas) == set(triggers)
        for name, trigger in triggers.items():
            settings = [each for _, section in sections(trigger, name) for each in section.model_fields]
            missing = [each for each in settings if f"`{each}`" not in terms + formulas[name]]
            assert missing == [], f"the formula of {name} does not say what these do"

    def test_every_reason_is_explained(self):
        text = text_of(FOLDER / "policy.md").partition("## Reasons")[0]
        assert [reason.name for reason in Reason if f"`{reason.name}`" not in text] == []

    def test_the_reasons_it_names_are_reasons(self):
        names = {
            span for span in spans(FOLDER / "policy.md") if re.fullmatch(r"(?!NUMBA_)[A-Z]{4,}|[A-Z]+(_[A-Z]+)+", span)
        }
        assert names == set(Reason.__members__)

    def test_every_kind_of_entry_is_told(self):
        assert [kind for kind in KINDS if f"`{kind}`" not in text_of(FOLDER / "operations.md")] == []

    def test_every_problem_of_a_route_has_a_meaning(self):
        statuses = {int(status) for _, _, each in service.operations() for status in each["responses"]}
        assert {status for status in statuses if status >= 400} <= set(MEANINGS)

    @pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "OTEL_"])
    def test_what_is_taken_from_the_environment_is_told(self, name):
        assert name in text_of(FOLDER / "configuration.md")

    def test_every_page_can_be_found_from_the_first(self):
        linked = {(FOLDER / link.partition("#")[0]).resolve() for link in links_in(PROJECT / "docs" / "README.md")}
        assert [named(page) for page in PAGES if page.resolve() not in linked and page.name != "README.md"] == []


class TestNames:
    """A page that names what does not exist sends its reader to nothing."""

    @pytest.mark.parametrize("page", ALL, ids=named)
    def test_links_lead_somewhere(self, page):
        for link in links_in(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            if anchor:
                assert anchor in anchors_of(target), link

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_commands_and_their_options_exist(self, page):
        known = commands.options()
        for span in spans(page):
            for line in span.replace("\\\n", " ").splitlines():
                for said in re.findall(r"(?:^|[ (`])nextproduct ((?:[a-z-]+ ?)*[^|;)#]*)", line):
                    words = command_in(said, known)
                    assert words, f"no command: nextproduct {said}"
                    options = set(re.findall(r"(?<![\w-])--[a-z-]+", said))
                    unknown = options - known.get(words, set()) - {"--help"}
                    assert not unknown, f"nextproduct {' '.join(words)} has no {unknown}"

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_options_that_stand_alone_exist(self, page):
        known = {option for options in commands.options().values() for option in options}
        found = {span.partition(" ")[0] for span in spans(page) if re.match(r"--[a-z]", span)}
        assert found <= known

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_routes_exist(self, page):
        known = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path, _ in service.operations()}
        known.add(("GET", "/docs"))
        for span in spans(page):
            for method, path in re.findall(r"\b(GET|POST) (/?[\w/{}:.-]+)", span):
                path = re.sub(r"\{\w+\}", "{}", path)
                path = path if path.startswith("/") else f"/v1/{path}"
                assert (method, path) in known, span

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_metrics_exist(self, page):
        known = {name for name, _, _ in service.families()}
        assert set(re.findall(r"\bnextproduct_\w+", text_of(page))) <= known

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_sections_of_the_configuration_exist(self, page):
        known = {path for name, model in MODELS.items() for path, _ in sections(model, name)}
        found = {span for span in spans(page) if re.fullmatch(r"\[[a-z_.]+\]", span)}
        assert {span.strip("[]") for span in found} <= known

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_targets_of_make_exist(self, page):
        known = set(re.findall(r"^([a-z-]+):", text_of(PROJECT / "Makefile"), re.MULTILINE))
        found = {target for span in spans(page) for target in re.findall(r"\bmake ([a-z-]+)", span)}
        assert found <= known

    @pytest.mark.parametrize("page", HOUSE, ids=named)
    def test_files_of_the_house_exist(self, page):
        for span in spans(page):
            if re.fullmatch(r"(features|training|serving|tests|docs|notebooks)/[a-z\d_./-]*", span):
                assert (PROJECT / span).exists(), span


class TestVersions:
    def test_the_newest_of_the_changelog_is_that_of_the_package(self):
        settings = tomllib.loads(text_of(PROJECT / "pyproject.toml"))
        newest, *_ = re.findall(r"^## \[?(\d[^\]\s]*)\]? - \d{4}-\d\d-\d\d$", text_of(PROJECT / "CHANGELOG.md"), re.M)
        assert settings["project"]["version"] == newest

    def test_the_licence_goes_along(self):
        settings = tomllib.loads(text_of(PROJECT / "pyproject.toml"))["project"]
        assert (settings["license"], settings["license-files"]) == ("Apache-2.0", ["LICENSE"])
        assert "Version 2.0, January 2004" in text_of(PROJECT / "LICENSE")


def silent_in(model) -> list[str]:
    """The fields of a model of which nothing says what they do."""
    said = docstrings(model)
    return [name for name, field in model.model_fields.items() if name not in said and not models_in(field.annotation)]


def rows_in(text: str) -> list[list[str]]:
    """The cells of each row of the tables of a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {number for number, row in enumerate(rows) if set(row[0]) == {"-"}}
    return [row for number, row in enumerate(rows) if number not in heads and number + 1 not in heads]


def links_in(page: Path) -> list[str]:
    """The links of a page to files and headings of this project."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)) if not re.match(r"[a-z]+:", link)]


def anchors_of(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def command_in(said: str, known: dict[tuple[str, ...], set[str]]) -> tuple[str, ...]:
    """The command, or the group of commands, that some words begin with; none: there is no such command."""
    words = tuple(re.split(r"[ \n`]+", said.strip()))
    if words in {each[:1] for each in known if len(each) > 1} | {("COMMAND", "--help")}:
        return words
    return next((words[:length] for length in (2, 1) if words[:length] in known), ())
