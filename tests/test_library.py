"""What others import, as the README and the docstrings show it: the examples run, and paths may be texts."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import features
import serving
import training
from features.build import build_states
from features.states import current_states
from serving import Recommender, load_policy, simulate
from serving.decisions.policy.loading import standard_policy_path
from tests.training.banks import light, own_workspace, synthetic_tables
from training import train

PROJECT = Path(__file__).parents[1]
EXAMPLES = [
    path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for room in ("features", "training", "serving")
    for path in sorted((PROJECT / room).rglob("*.py"))
    if "\n>>> " in path.read_text(encoding="utf-8") or "\n    >>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture
def folder(session_folder, tmp_path, monkeypatch):
    """The present folder: `tables` and a trained `workspace` lie in it."""
    own_workspace(session_folder, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("room", [features, training, serving], ids=lambda room: room.__name__)
def test_every_exported_name_is_there(room):
    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_the_kind'"):
        room.nothing_of_the_kind  # noqa: B018


@pytest.mark.parametrize("module", EXAMPLES)
@pytest.mark.usefixtures("folder")
def test_examples_in_docstrings_say_what_is_so(module):
    found = doctest.testmod(import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


def test_the_example_of_the_readme_runs(session_folder, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "tables").symlink_to(synthetic_tables(session_folder))
    monkeypatch.chdir(tmp_path)
    code = code.replace('train("workspace")', 'train("workspace", settings)')
    exec(compile(code, "README.md", "exec"), {"settings": light()})
    said = capsys.readouterr().out
    assert len(re.findall(r" \['[A-Z][a-z].*'\]\n", said)) == 3, said
    assert re.search(r" \d+ of 680\n", said)


@pytest.mark.usefixtures("folder")
class TestPathsAsTexts:
    def test_states_are_built_opened_and_learned_from(self):
        built = build_states("tables", "another")
        assert current_states("another").manifest == built.states.manifest
        assert train("another", light(models=("popularity",))).selected == "popularity"

    def test_a_workspace_is_asked(self):
        with Recommender.open("workspace") as recommender:
            customer_id = next(
                each
                for each in recommender.states.ids_of(recommender.states.known_at(recommender.states.as_of_period))
                if recommender.recommend(each, 3).suggestions
            )
            found = recommender.recommend(customer_id, 3)
            offered = found.suggestions[0].product_id
            assert found.versions == recommender.versions
            assert recommender.why_not(customer_id, offered, 3).layer is None

    def test_policies_are_compared(self):
        with Recommender.open("workspace") as recommender:
            cautious = load_policy(str(standard_policy_path())).policy.model_copy(update={"decision_day": "as_of"})
            own, other = simulate(recommender, [recommender.policy, cautious], limit=2)
            assert own.to_dict() == simulate(recommender, limit=2)[0].to_dict()
            assert own.customers == other.customers == recommender.states.n_customers
            assert own.offers.tolist() != other.offers.tolist()

    async def _asked_within_a_loop(self, recommender):
        return recommender.recommend(recommender.states.customer_id(0), 1)

    def test_it_may_be_asked_while_a_loop_runs_as_in_a_notebook(self):
        import asyncio

        with Recommender.open("workspace") as recommender:
            assert asyncio.run(self._asked_within_a_loop(recommender)).customer_id == recommender.states.customer_id(0)
