from pathlib import Path

import pytest

from features.build import build_states
from features.sources.synthetic import SyntheticBank, generate
from features.states import CustomerStates


@pytest.fixture(scope="session")
def synthetic_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(SyntheticBank(retail=400, corporate=80, periods=14), folder)
    return folder / "tables"


@pytest.fixture(scope="session")
def synthetic_states(synthetic_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> CustomerStates:
    return build_states(synthetic_tables, tmp_path_factory.mktemp("workspace")).states
