import pytest

from features.sources.synthetic import TABLES_FOLDER, TRUTH_FOLDER, SyntheticBank, Truth, generate
from tests.features.sources.synthetic.panel import Panel


@pytest.fixture(scope="session")
def bank() -> SyntheticBank:
    # two blocks of retail customers, the second one smaller
    return SyntheticBank(retail=3_000, corporate=600, periods=14, seed=11, block_size=2_000)


@pytest.fixture(scope="session")
def folder(bank, tmp_path_factory):
    target = tmp_path_factory.mktemp("synthetic") / "bank"
    generate(bank, target)
    return target


@pytest.fixture(scope="session")
def panel(folder):
    return Panel.read(folder / TABLES_FOLDER)


@pytest.fixture(scope="session")
def truth(folder):
    return Truth.open(folder / TRUTH_FOLDER)
