import dataclasses

import numpy as np
import pytest

from features.errors import BadConfiguration
from features.sources.synthetic import SyntheticBank
from features.sources.synthetic.bank import CALENDAR, CORPORATE, RETAIL
from features.sources.synthetic.catalogue import LAUNCHED, WITHDRAWN, catalogue_of, products_of


@pytest.mark.parametrize(
    "wrong",
    [
        {"retail": -1},
        {"retail": 0, "corporate": 0},
        {"periods": 2},
        {"last_month": "2026-13"},
        {"last_month": "June 2026"},
        {"seed": -1},
        {"block_size": 0},
        {"truth_periods": 0},
        {"truth_periods": 37},
    ],
)
def test_an_impossible_setting_is_refused_by_name(wrong):
    with pytest.raises(BadConfiguration, match=next(iter(wrong))):
        SyntheticBank(**wrong)


def test_blocks_cover_every_customer_once_in_the_order_of_ids():
    bank = SyntheticBank(retail=25, corporate=7, block_size=10)
    blocks = bank.blocks
    assert [(plan.kind, plan.size) for plan in blocks] == [
        (CORPORATE, 7),
        (RETAIL, 10),
        (RETAIL, 10),
        (RETAIL, 5),
    ]
    assert [plan.part for plan in blocks] == [0, 1, 2, 3]
    ids = np.concatenate([plan.customer_ids for plan in blocks])
    assert ids[0] == "C000001"
    assert ids[7] == "R0000001"
    assert ids[-1] == "R0000025"
    assert (np.sort(ids) == ids).all()


def test_ids_stay_in_order_beyond_their_usual_length():
    plan = SyntheticBank(retail=10_000_000, corporate=0, block_size=1_000).blocks[-1]
    assert plan.customer_ids[-1] == "R10000000"
    assert plan.customer_ids[0] == "R09999001"


def test_months_end_with_the_last_month():
    bank = SyntheticBank(periods=36, last_month="2026-06", truth_periods=3)
    assert CALENDAR.start_of(bank.first_period).isoformat() == "2023-07-01"
    assert [CALENDAR.end_of(period).isoformat() for period in bank.published_periods] == [
        "2026-04-30",
        "2026-05-31",
        "2026-06-30",
    ]


def test_the_catalogue_is_that_of_a_commercial_bank():
    bank = SyntheticBank()
    products = products_of(bank)
    assert len(catalogue_of(bank, RETAIL)) == 30
    assert len(catalogue_of(bank, CORPORATE)) == 16
    ids = [product.product_id for product in products]
    assert ids == sorted(set(ids))
    assert {"R1", "R2", "R3", "R4"} <= {product.risk_rating for product in products}
    for product in products:
        related = (*product.requires, *product.excludes)
        assert set(related) <= set(catalogue_of(bank, product.customer_kind).product_ids)
        assert product.name_zh.strip("".join(map(chr, range(128)))), f"{product.product_id} has no Chinese name"
        assert product.annual_margin > 0


def test_one_product_is_launched_and_one_withdrawn_within_the_months():
    bank = SyntheticBank(periods=14)
    products = {product.product_id: product for product in products_of(bank)}
    first, last = CALENDAR.start_of(bank.first_period), CALENDAR.end_of(bank.last_period)
    assert first < products[LAUNCHED].on_sale_from < products[WITHDRAWN].on_sale_to < last
    undated = [product for product in products.values() if product.product_id not in (LAUNCHED, WITHDRAWN)]
    assert {(product.on_sale_from, product.on_sale_to) for product in undated} == {(None, None)}


def test_on_sale_is_a_matter_of_the_day_after_the_months_end():
    catalogue = catalogue_of(SyntheticBank(), RETAIL)
    withdrawal = CALENDAR.period_of(catalogue.products[catalogue.position(WITHDRAWN)].on_sale_to)
    launch = CALENDAR.period_of(catalogue.products[catalogue.position(LAUNCHED)].on_sale_from)
    assert [catalogue.on_sale(withdrawal + k)[catalogue.position(WITHDRAWN)] for k in (-1, 0, 1)] == [
        True,
        False,
        False,
    ]
    assert [catalogue.on_sale(launch + k)[catalogue.position(LAUNCHED)] for k in (-1, 0, 1)] == [False, True, True]


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SyntheticBank().seed = 1
