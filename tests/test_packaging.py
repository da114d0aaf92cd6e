import ast
import importlib
import inspect
import pkgutil
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from pydantic import BaseModel

import features
import serving
import training
from features.build import BuildConfig
from features.clock import BankConfig
from serving.config import ServingConfig
from serving.config_file import SECTIONS, read_section
from training.config import EvaluationConfig, TrainingConfig, TuningConfig

ROOMS = (features, training, serving)
PROJECT = Path(__file__).parents[1]
EXAMPLE = PROJECT / "serving" / "nextproduct.example.toml"
MODELS = {
    "bank": BankConfig,
    "build": BuildConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
    "tuning": TuningConfig,
    "serving": ServingConfig,
}

MODULES = sorted(
    module.name
    for room in ROOMS
    for module in [
        pkgutil.ModuleInfo(None, room.__name__, True),
        *pkgutil.walk_packages(room.__path__, f"{room.__name__}."),
    ]
)


class TestNames:
    @pytest.mark.parametrize("room", ROOMS)
    def test_no_other_distribution_owns_a_room(self, room):
        """The names are common words, and one on the package index has a `features` too."""
        owners = set(packages_distributions().get(room.__name__, []))
        assert owners <= {"nextproduct"}
        assert Path(room.__file__).is_relative_to(PROJECT)

    def test_every_folder_of_tests_is_a_package(self):
        """Without it ``tests/features`` would shadow the real one."""
        folders = {path.parent for path in (PROJECT / "tests").rglob("*.py")}
        assert len(folders) > 5
        assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []

    def test_rooms_export_what_they_say(self):
        for room in (features, training):
            for name in room.__all__:
                assert getattr(room, name) is not None
            with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
                _ = room.nothing


class TestDocstrings:
    @pytest.mark.parametrize("name", MODULES)
    def test_everything_public_has_one(self, name):
        module = importlib.import_module(name)
        assert inspect.getdoc(module), name
        for public, value in vars(module).items():
            if public.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isclass(value):
                assert value.__doc__, f"{name}.{public}"
                assert not _generated(value), f"{name}.{public}"
            elif inspect.isfunction(value):
                assert value.__doc__, f"{name}.{public}"


def _generated(class_):
    """Whether the docstring is the signature that dataclasses give to those without one."""
    return class_.__doc__.startswith(f"{class_.__name__}(")


class TestImports:
    @pytest.mark.parametrize("room", ROOMS)
    def test_run_one_way_and_are_relative_inside_a_room(self, room):
        below = {"features": set(), "training": {"features"}, "serving": {"features", "training"}}[room.__name__]
        for path in Path(room.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                ours = {name.partition(".")[0] for name in names} & {"features", "training", "serving", "tests"}
                assert ours <= below, f"{path}:{node.lineno}"


def fields_of(model, values, path=""):
    """Every field of a settings model and of the models within, with the value that `values` gives it."""
    for name, field in model.model_fields.items():
        where = f"{path}.{name}" if path else name
        kind = field.annotation
        assert name in values, f"the example lacks {where}"
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from fields_of(kind, values[name], where)
        else:
            yield where, values[name]
    unknown = set(values) - set(model.model_fields)
    assert not unknown, f"the example has {path} {unknown}"


class TestExampleConfiguration:
    @pytest.fixture
    def content(self):
        return tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))

    def test_its_sections_are_all_there_are(self, content):
        assert tuple(content) == SECTIONS
        assert set(MODELS) == set(SECTIONS)

    @pytest.mark.parametrize("section", MODELS)
    def test_a_section_says_the_defaults(self, section):
        assert read_section(EXAMPLE, section, MODELS[section]) == MODELS[section]()

    @pytest.mark.parametrize("section", MODELS)
    def test_a_section_has_every_field(self, content, section):
        found = dict(fields_of(MODELS[section], content[section]))
        assert found

    def test_it_is_shipped(self):
        settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
        assert "*.toml" in settings["tool"]["setuptools"]["package-data"]["serving"]
        assert "evaluation/*.jinja" in settings["tool"]["setuptools"]["package-data"]["training"]
