import hashlib
import json
from dataclasses import replace

import pytest
from rich.progress import Progress

from features.errors import BadInput
from features.sources.synthetic import SyntheticBank, Truth, generate

SMALL = SyntheticBank(retail=220, corporate=40, periods=4, seed=3, block_size=100)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    target = tmp_path_factory.mktemp("small") / "bank"
    generate(SMALL, target)
    return target


def test_the_same_settings_give_the_same_files(small, tmp_path):
    generate(SMALL, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(small)


def test_another_seed_gives_another_bank(small, tmp_path):
    generate(replace(SMALL, seed=4), tmp_path / "other")
    assert digests(tmp_path / "other")["truth/probability-00001.npy"] != digests(small)["truth/probability-00001.npy"]


def test_a_block_is_the_same_whatever_blocks_there_are_besides(small, tmp_path):
    generate(replace(SMALL, retail=100), tmp_path / "fewer")
    fewer, all_ = digests(tmp_path / "fewer"), digests(small)
    parts = {name: digest for name, digest in fewer.items() if "-00000" in name or "-00001" in name}
    assert len(parts) > 10
    assert parts.items() <= all_.items()


def test_truth_stands_apart_from_the_tables(small):
    assert sorted(path.name for path in small.iterdir()) == ["tables", "truth"]
    assert sorted(path.name for path in (small / "tables").iterdir()) == [
        "accounts",
        "activity",
        "balances",
        "complaints",
        "consents",
        "contacts",
        "customers",
        "payments",
        "products.parquet",
    ]
    assert "part-00003.parquet" in {path.name for path in (small / "tables" / "accounts").iterdir()}


def test_truth_of_the_last_dates_only(small, tmp_path):
    generate(replace(SMALL, truth_periods=2), tmp_path / "bank")
    few, every = Truth.open(tmp_path / "bank" / "truth"), Truth.open(small / "truth")
    assert few.periods == every.periods[-2:]
    for period in few.periods:
        assert (few.probability(period) == every.probability(period)).all()
        assert (few.effect(period) == every.effect(period)).all()


def test_one_kind_of_customer_is_enough(tmp_path):
    generate(SyntheticBank(retail=0, corporate=1, periods=3), tmp_path / "one")
    assert list(Truth.open(tmp_path / "one" / "truth").customer_ids) == ["C000001"]


def test_progress_reaches_its_end(tmp_path):
    with Progress(disable=True) as progress:
        generate(replace(SMALL, retail=50, corporate=0), tmp_path / "bank", progress)
        assert [task.finished for task in progress.tasks] == [True]


class Interruption(Progress):
    """Stops the work after some steps, as a user would."""

    steps = 40

    def advance(self, task_id, advance=1):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


def test_an_interrupted_generation_leaves_nothing_at_the_target(tmp_path):
    with Interruption(disable=True) as progress, pytest.raises(KeyboardInterrupt):
        generate(SMALL, tmp_path / "bank", progress)
    assert not (tmp_path / "bank").exists()
    generate(SMALL, tmp_path / "bank")
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]


def test_an_interrupted_generation_leaves_the_earlier_bank_alone(tmp_path):
    generate(SMALL, tmp_path / "bank")
    before = digests(tmp_path / "bank")
    with Interruption(disable=True) as progress, pytest.raises(KeyboardInterrupt):
        generate(replace(SMALL, seed=5), tmp_path / "bank", progress)
    assert digests(tmp_path / "bank") == before


def test_an_earlier_bank_is_replaced_as_a_whole(small, tmp_path):
    generate(replace(SMALL, retail=500), tmp_path / "bank")
    generate(SMALL, tmp_path / "bank")
    assert digests(tmp_path / "bank") == digests(small)
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]


def test_other_peoples_folders_are_refused(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")
    with pytest.raises(BadInput, match="letters"):
        generate(SMALL, tmp_path / "letters")
    with pytest.raises(BadInput, match="file"):
        generate(SMALL, tmp_path / "letters" / "dear.txt")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "Dear"


def test_the_manifest_is_plain_json(small):
    manifest = json.loads((small / "truth" / "manifest.json").read_text())
    assert manifest["n_periods"] == SMALL.periods
    assert [plan["size"] for plan in manifest["blocks"]] == [40, 100, 100, 20]
