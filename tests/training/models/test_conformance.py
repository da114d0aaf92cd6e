import inspect
import pkgutil
from importlib import import_module

import pytest

import training.models
from training.models import MODELS, Model

from .conformance import ModelConformance


class TestEveryModel(ModelConformance):
    @pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
    def model_type(self, request):
        return request.param


def concrete_subclasses(cls):
    for subclass in cls.__subclasses__():
        if not inspect.isabstract(subclass) and subclass.__module__.startswith("training."):
            yield subclass
        yield from concrete_subclasses(subclass)


def test_no_model_escapes_the_suite():
    for module in pkgutil.walk_packages(training.models.__path__, "training.models."):
        import_module(module.name)
    assert set(concrete_subclasses(Model)) == set(MODELS.values())


def test_models_are_listed_by_their_names():
    assert [model.name for model in MODELS.values()] == list(MODELS)
