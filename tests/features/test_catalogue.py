from datetime import date
from pathlib import Path

import pytest

from features.catalogue import Catalogue
from features.errors import NotFound
from features.sources import BankTables

from .banks import RandomBank, Tables, products, write_parquet
from .test_calendar import MONTHS


def catalogue_of(folder: Path, tables: Tables) -> Catalogue:
    write_parquet(folder, tables)
    with BankTables.open(folder, threads=1) as opened:
        return Catalogue.from_tables(opened.connection)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    rows = products()
    rows[0] |= {"requires": ["deposit", "fund"], "min_age": 18.0, "repeatable": True, "name_zh": "信用卡"}
    return catalogue_of(tmp_path, RandomBank(1, MONTHS).tables() | {"products": rows[::-1]})


def test_positions_follow_product_ids_whatever_the_order_of_rows(catalogue: Catalogue) -> None:
    assert catalogue.product_ids == ("card", "deposit", "fund", "loan", "pool")
    assert [catalogue.position_of(product) for product in catalogue.product_ids] == [0, 1, 2, 3, 4]
    assert catalogue.families == ("cards", "deposits", "loans")
    assert len(catalogue) == 5


def test_an_unknown_product_is_named_with_what_there_is(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match=r"'gold' is not in the catalogue; it has: card, deposit, fund, loan, pool"):
        catalogue.position_of("gold")


@pytest.mark.parametrize(
    ("day", "fund", "loan"),  # from 2024-04-01; to 2024-05-31
    [
        (date(2024, 3, 31), False, True),
        (date(2024, 4, 1), True, True),
        (date(2024, 5, 31), True, True),
        (date(2024, 6, 1), True, False),
        (date(1999, 12, 31), False, True),
    ],
)
def test_both_ends_of_a_sales_window_are_on_sale(catalogue: Catalogue, day: date, fund: bool, loan: bool) -> None:
    assert catalogue.on_sale(day).tolist() == [True, True, fund, loan, True]


def test_products_are_for_their_kind_of_customer_or_for_both(catalogue: Catalogue) -> None:
    retail, corporate = catalogue.for_kind().tolist()
    assert retail == [True, True, True, True, False]
    assert corporate == [False, True, True, True, True]


def test_a_saved_catalogue_reads_as_it_was(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    catalogue.save(path)
    assert Catalogue.load(path) == catalogue
    card = catalogue.products[0]
    assert (card.requires, card.excludes, card.min_age, card.repeatable) == (("deposit", "fund"), (), 18.0, True)
    assert card.name_zh == "信用卡"
    assert catalogue.products[2].on_sale_from == "2024-04-01"
    assert "信用卡" in path.read_text(encoding="utf-8")
