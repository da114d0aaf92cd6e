"""A family that counts over other periods than today's says other sentences, and they are true."""

import pytest

from features import current_states, families, feature_set_of
from features.families import FAMILIES, holdings
from features.families.activity import ActivityFeatures
from features.families.adoption import AdoptionFeatures
from features.families.balances import BalanceFeatures
from features.families.contacts import ContactFeatures

from .told_bank import build_bank, client_of, say


class OtherContacts(ContactFeatures):
    windows = (2, 5, 9)
    outcome_window = 4


class OtherBalances(BalanceFeatures):
    changes = (1, 4, 12)


class OtherActivity(ActivityFeatures):
    mean_of = 5


class OtherAdoption(AdoptionFeatures):
    partner_window = 3


OTHERS = (OtherContacts, OtherBalances, OtherActivity, OtherAdoption)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return build_bank(tmp_path_factory.mktemp("told"))


@pytest.fixture
def states(workspace, monkeypatch):
    instead = {family.__mro__[1]: family for family in OTHERS}
    monkeypatch.setattr(families, "FAMILIES", tuple(instead.get(family, family) for family in FAMILIES))
    return current_states(workspace)


@pytest.mark.parametrize(
    ("features", "text", "text_zh"),
    [
        (
            {"contacts_2": 1},
            "No contact from us in the two months to 30 June 2024", "截至2024年6月30日的两个月内我行未联系过客户",
        ),
        (
            {"contacts_5": 1},
            "We were in touch once in the 5 months to 30 June 2024", "截至2024年6月30日的5个月内与客户联系1次",
        ),
        (
            {"contacts_accepted": 1},
            "Said yes to us once in the 4 months to 30 June 2024", "截至2024年6月30日的4个月内接受我行推荐1次",
        ),
        (
            {"balance:deposits": 2, "balance_change:deposits": 1},
            "Balance in deposits: ¥323,400 in June 2024, up 100% in 4 months",
            "2024年6月存款余额32.3万元，4个月内上升100%",
        ),
        (
            {"balance_change_4": 1},
            "Total balance, debts included in June 2024 up 51% in 4 months",
            "各项余额（含负债）合计4个月内上升51%",
        ),
        (
            {"use_before:mobile": 1},
            "Used mobile banking 7 times in the 5 months before June 2024", "2024年6月之前5个月使用手机银行7次",
        ),
        (
            {"flow_before:inflow": 1},
            "¥6,000 a month came in during the 5 months before June 2024", "2024年6月之前5个月平均每月转入6000元",
        ),
        (
            {"flow:inflow": 1},
            "¥50,000 came in during June 2024, 8.3 times the average of the 5 months before",
            "2024年6月转入5万元，为此前5个月平均值的8.3倍",
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_windows_are_said_from_the_declaration(states, features, text, text_zh):
    assert say(states, "ann", "money_fund", features) == (text, text_zh)


def test_partners_are_counted_in_the_window_of_their_share(states, workspace, monkeypatch):
    share = {"partner_holding_share:time": 1}
    assert say(states, "ann", "money_fund", share).text.startswith("50% of the payment partners")
    assert client_of(states, states.position_of("shop")).n_partners(3) == 3
    assert say(states, "shop", "money_fund", share, **{"partner_holding_share:time": 0.5}) is None, (
        "too few to speak of"
    )
    monkeypatch.undo()
    as_usual = current_states(workspace)
    assert client_of(as_usual, as_usual.position_of("shop")).n_partners(12) == 6
    assert say(as_usual, "shop", "money_fund", share).text.startswith("50% of the payment partners")


def test_counts_of_holdings_say_their_window(workspace, monkeypatch):
    monkeypatch.setattr(holdings, "WINDOWS", (2, 4, 5, 9))
    states = current_states(workspace)
    for window, said in ((2, "two"), (4, "4"), (5, "5"), (9, "9")):
        for change, text in (("added", "Took out something new 3 times"), ("dropped", "A product ended 3 times")):
            name = f"products_{change}_{window}"
            words = say(states, "ann", "money_fund", {name: 1}, **{name: 3})
            assert words.text == f"{text} in the {said} months to 30 June 2024"


def test_the_meaning_says_the_same_window(states):
    """What a data scientist reads and what an RM is told come from one number."""
    for feature in feature_set_of(states).features:
        if feature.window:
            assert f"{feature.window} periods" in feature.meaning
