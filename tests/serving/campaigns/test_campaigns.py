import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import block_of
from features.errors import BadInput, NotFound
from serving.answering.recommendation import Versions
from serving.campaigns import target_list, write_list
from serving.decisions import Reason
from serving.deployment import open_in_use
from tests.oracles.campaign import best_pairs
from tests.serving.later import CLOCK

PRODUCTS = ["fund_money", "credit_card", "wealth_cash"]
COLUMNS = (
    "rank", "customer_id", "rm_id", "branch_id", "product_id", "product_name", "product_name_zh", "priority",
    "propensity", "value", "context", "lever", "model_version", "states_build", "as_of", "policy",
)  # fmt: skip


def pairs_of(engine, product_ids):
    """Every pair of customer and product that the policy allows, with its priority."""
    states = engine.states
    block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
    decisions = engine.decide(block, engine.context(), limit=1)
    allowed = (decisions.excluded & ~Reason.OUTRANKED.bit) == 0
    columns = [states.catalogue.position_of(product_id) for product_id in product_ids]
    return [
        (
            states.customer_id(block.positions[row]), states.catalogue.product_ids[column],
            decisions.factors.priorities[row, column],
        )
        for row in range(block.n_customers)
        for column in columns
        if allowed[row, column]
    ]  # fmt: skip


def chosen(frame):
    return list(zip(frame["customer_id"], frame["product_id"], frame["priority"], strict=True))


class TestWhoIsChosen:
    @pytest.mark.parametrize("size", [1, 25, 100])
    def test_the_best_pairs_one_offer_a_customer(self, engine, size):
        frame = target_list(engine, PRODUCTS, size)
        assert chosen(frame) == best_pairs(pairs_of(engine, PRODUCTS), size)
        assert frame["rank"].tolist() == list(range(1, size + 1))
        assert frame["customer_id"].is_unique

    def test_everybody_allowed_when_fewer_than_asked(self, engine):
        frame = target_list(engine, PRODUCTS, 10**9)
        pairs = pairs_of(engine, PRODUCTS)
        assert chosen(frame) == best_pairs(pairs, len(pairs))
        assert len(frame) == len({customer for customer, *_ in pairs}) < engine.states.n_customers

    def test_a_product_for_the_other_kind_only(self, engine):
        assert {c[0] for c in target_list(engine, ["corp_wealth"], 500)["customer_id"]} == {"C"}

    def test_priority_is_the_product_of_its_factors(self, engine):
        frame = target_list(engine, PRODUCTS, 50)
        product = frame["propensity"] * frame["value"] * frame["context"] * frame["lever"]
        np.testing.assert_allclose(frame["priority"], product, rtol=1e-5)

    def test_the_channel_decides_who_may_be_contacted(self, engine):
        by_phone = target_list(engine, PRODUCTS, 10**9, channel="phone")
        in_person = target_list(engine, PRODUCTS, 10**9)
        assert 0 < len(by_phone) < len(in_person)
        for customer_id in set(in_person["customer_id"]) - set(by_phone["customer_id"]):
            refused = [engine.why_not(customer_id, product, 1, channel="phone").reasons for product in PRODUCTS]
            assert any("CHANNEL_REFUSED" in reasons or "CONTACT_LIMIT_REACHED" in reasons for reasons in refused)

    def test_an_unknown_channel_is_not_found(self, engine):
        with pytest.raises(NotFound, match="no channel 'pigeon'; it has: rm, phone"):
            target_list(engine, PRODUCTS, 5, channel="pigeon")

    def test_nobody_who_refuses_to_be_personalised_is_chosen(self, engine):
        states = engine.states
        (decisions,) = engine.stream(limit=1)
        refusing = {states.customer_id(p) for p in decisions.positions[~decisions.personalised]}
        assert refusing
        assert not refusing & set(target_list(engine, PRODUCTS, 10**9)["customer_id"])

    def test_naming_a_product_twice_changes_nothing(self, engine):
        once = target_list(engine, PRODUCTS, 50)
        assert target_list(engine, [*PRODUCTS, *PRODUCTS[::-1]], 50).equals(once)

    def test_rm_branch_names_and_versions_are_the_customer_s(self, engine):
        frame = target_list(engine, PRODUCTS, 200)
        assert tuple(frame.columns) == COLUMNS
        states = engine.states
        for row in frame.itertuples():
            position = np.array([states.position_of(row.customer_id)])
            (version,) = states.profile.versions_at(position, states.as_of_period)
            assert row.rm_id == states.profile.text("rm_id", version)
            assert row.branch_id == states.profile.text("branch_id", version)
            product = states.catalogue.products[states.catalogue.position_of(row.product_id)]
            assert (row.product_name, row.product_name_zh) == (product.name, product.name_zh)
        assert frame["branch_id"].notna().all()
        versions = engine.versions
        for column, value in zip(
            COLUMNS[-4:], (versions.model, versions.states, versions.as_of, versions.policy), strict=True
        ):
            assert set(frame[column]) == {value}


class Catalogue:
    """Three products, called by a letter each."""

    products = tuple(SimpleNamespace(product_id=letter, name=letter, name_zh=letter) for letter in "abc")
    position_of = staticmethod("abc".index)

    def __len__(self):
        return len(self.products)


class Streaming:
    """An engine whose decisions are given, block by block."""

    def __init__(self, blocks):
        self.versions = Versions("1", "build", "2026-06-30", "policy", "catalogue")
        self.blocks = blocks
        self.states = SimpleNamespace(
            n_customers=10_000,
            as_of_period=0,
            catalogue=Catalogue(),
            ids_of=lambda positions: [f"c{position:05}" for position in positions],
            profile=SimpleNamespace(versions_at=lambda positions, _: positions, text=lambda *_: None),
        )

    def stream(self, *, limit, channel, products, fresh):
        assert (limit, channel, products.tolist(), fresh) == (1, None, [True, True, True], None)
        yield from self.blocks


def decisions_of(start, rows):
    """Of customers from `start` on, each a product and its priority."""
    priorities = np.array([[priority] for _, priority in rows], dtype=np.float32)
    return SimpleNamespace(
        positions=np.arange(start, start + len(rows)),
        products=np.array([[product] for product, _ in rows], dtype=np.int32),
        personalised=np.ones(len(rows), dtype=np.bool_),
        priorities=priorities,
        **dict.fromkeys(("propensities", "values", "contexts", "levers"), priorities),
    )


class TestTies:
    @given(
        rows=st.lists(st.tuples(st.integers(-1, 2), st.sampled_from([0.0, 0.25, 0.5])), min_size=1, max_size=40),
        block_size=st.integers(1, 11),
        size=st.integers(1, 45),
    )
    def test_go_to_the_lower_customer_id_whatever_the_blocks(self, rows, block_size, size):
        """Nothing is lost between blocks: the list is that of all pairs sorted at once."""
        blocks = [decisions_of(start, rows[start : start + block_size]) for start in range(0, len(rows), block_size)]
        engine = Streaming(blocks)
        frame = target_list(engine, list("abc"), size)
        pairs = [(f"c{n:05}", "abc"[p], np.float32(value)) for n, (p, value) in enumerate(rows) if p >= 0]
        assert chosen(frame) == best_pairs(pairs, size)


class TestWhatIsRefused:
    @pytest.mark.parametrize("size", [0, -5])
    def test_no_size(self, engine, size):
        with pytest.raises(BadInput, match=f"target list of {size} customers .* at least 1"):
            target_list(engine, PRODUCTS, size)

    def test_no_product(self, engine):
        with pytest.raises(BadInput, match="name at least one product"):
            target_list(engine, [], 5)

    def test_an_unknown_product(self, engine):
        with pytest.raises(NotFound, match="product 'yacht' is not in the catalogue; it has: bill_payment"):
            target_list(engine, ["credit_card", "yacht"], 5)


class TestFile:
    @pytest.fixture
    def frame(self, engine):
        return target_list(engine, PRODUCTS, 40)

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_the_same_inputs_give_the_same_bytes(self, trained, tmp_path, suffix):
        written = []
        for name in ("one", "two"):
            write_list(
                target_list(open_in_use(trained, None, CLOCK).engine, PRODUCTS, 40), tmp_path / f"{name}{suffix}"
            )
            written.append((tmp_path / f"{name}{suffix}").read_bytes())
        assert written[0] == written[1]
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"one{suffix}", f"two{suffix}"]

    def test_csv_opens_in_excel_with_chinese_text(self, frame, tmp_path):
        write_list(frame, tmp_path / "list.csv")
        content = (tmp_path / "list.csv").read_bytes()
        assert content.startswith(b"\xef\xbb\xbf")
        text = content.decode("utf-8-sig")
        assert text.splitlines()[0] == ",".join(COLUMNS)
        names = set(frame["product_name_zh"])
        assert all(name in text for name in names)
        assert any("\u4e00" <= letter <= "\u9fff" for name in names for letter in name)
        read = pd.read_csv(io.BytesIO(content), encoding="utf-8-sig", dtype={"model_version": str})
        assert read["customer_id"].tolist() == frame["customer_id"].tolist()
        # every digit of a float32: it reads back as the same number
        assert read["propensity"].astype(np.float32).tolist() == frame["propensity"].tolist()

    def test_parquet_holds_the_same(self, frame, tmp_path):
        write_list(frame, tmp_path / "list.parquet")
        assert pq.read_table(tmp_path / "list.parquet").to_pandas().equals(frame)

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_only_its_owner_may_read_it(self, frame, tmp_path, suffix):
        """Broken before: whoever had an account on the machine could read whom the bank is about to call."""
        write_list(frame, tmp_path / f"list{suffix}")
        assert (tmp_path / f"list{suffix}").stat().st_mode & 0o777 == 0o600

    def test_an_earlier_list_is_replaced(self, frame, tmp_path):
        (tmp_path / "list.csv").write_text("old", encoding="utf-8")
        write_list(frame, tmp_path / "list.csv")
        assert len((tmp_path / "list.csv").read_text(encoding="utf-8-sig").splitlines()) == 41

    @pytest.mark.parametrize("name", ["list.xlsx", "list", "list.csv.gz"])
    def test_an_unknown_format_is_refused_and_nothing_left(self, frame, tmp_path, name):
        with pytest.raises(BadInput, match=f"cannot tell the format of .*{name}: name it .csv or .parquet"):
            write_list(frame, tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_a_missing_folder_is_refused_and_not_made(self, frame, tmp_path):
        with pytest.raises(BadInput, match=r"there is no folder .*/lists to write"):
            write_list(frame, tmp_path / "lists" / "list.csv")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_s_name_is_refused(self, frame, tmp_path):
        """Broken before: it ended in a traceback and left half a file."""
        (tmp_path / "list.csv").mkdir()
        with pytest.raises(BadInput, match=r"list\.csv is a folder"):
            write_list(frame, tmp_path / "list.csv")
        assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]

    def test_a_failure_half_way_leaves_the_earlier_list(self, frame, tmp_path, monkeypatch):
        """Broken before: the unfinished file stayed."""

        def fail(_table, path):
            path.write_bytes(b"half")
            raise OSError("the disk is full")

        (tmp_path / "list.parquet").write_bytes(b"whole")
        monkeypatch.setattr("pyarrow.parquet.write_table", fail)
        with pytest.raises(OSError, match="the disk is full"):
            write_list(frame, tmp_path / "list.parquet")
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("list.parquet", b"whole")]
