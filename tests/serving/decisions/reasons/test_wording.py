import math
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Calendar, Frequency, build_states, current_states, feature_set_of
from features.build import BuildConfig
from serving.decisions.policy.sections import TRIGGERS
from serving.decisions.reasons.topics import Topics
from serving.decisions.reasons.wording import FEWEST_PARTNERS
from serving.decisions.reasons.wording_parts import (
    amount,
    channel_name,
    counted,
    days_ahead,
    family_name,
    period_name,
    positional,
    readable,
    tidy,
    times,
    up_to,
)  # fmt: skip
from serving.decisions.reasons.wording_triggers import TriggerWords
from tests.features.banks import ATTRIBUTES, NEWEST_DAY, RandomBank, write_parquet

from .reasons_fixtures import check_chinese, check_wellformed
from .told_bank import build_bank, client_of, compiled, say, sentence, values_of

MONTH, WEEK, QUARTER = (Calendar(frequency) for frequency in (Frequency.MONTH, Frequency.WEEK, Frequency.QUARTER))
JUNE = MONTH.period_of(date(2024, 6, 30))


class TestParts:
    @pytest.mark.parametrize(
        ("value", "text", "text_zh"),
        [
            (1, "¥1", "1元"),
            (8_000.4, "¥8,000", "8000元"),
            (9_999.6, "¥10,000", "1万元"),
            (123_400, "¥123,400", "12.3万元"),
            (9_999_499, "¥9,999,499", "999.9万元"),
            (12_340_000, "¥12.3 million", "1234万元"),
            (99_999_900, "¥100 million", "1亿元"),
            (2_345_678_900, "¥2,345.7 million", "23.5亿元"),
            (5e13, "¥50,000 billion", "50万亿元"),
            (-500, "-¥500", "-500元"),
            (-0.3, "¥0", "0元"),
        ],
    )
    def test_amounts(self, value, text, text_zh):
        assert amount(value) == (text, text_zh)

    def test_numbers(self):
        assert [tidy(value) for value in (2, 2.04, 2.26, 1234.5)] == ["2", "2", "2.3", "1,234.5"]
        assert [positional(value) for value in (-1.5, 0, 1e-9, 98_765)] == ["-1.5", "0", "0.000000001", "98765"]
        assert [times(count).text for count in (1, 2, 14)] == ["once", "twice", "14 times"]
        assert times(14).text_zh == "14次"

    def test_periods(self):
        assert period_name(JUNE, MONTH) == ("June 2024", "2024年6月")
        assert period_name(WEEK.period_of(NEWEST_DAY), WEEK) == ("the week of 24 June 2024", "2024年6月24日当周")
        assert period_name(QUARTER.period_of(NEWEST_DAY), QUARTER) == (
            "the second quarter of 2024", "2024年第二季度",
        )  # fmt: skip
        assert counted(1, MONTH) == ("one month", "一个月")
        assert counted(3, WEEK) == ("three weeks", "三周")
        assert counted(12, QUARTER) == ("12 quarters", "12个季度")
        assert up_to(1, JUNE, MONTH) == ("in the month to 30 June 2024", "截至2024年6月30日的一个月内")
        assert up_to(6, JUNE, MONTH).text == "in the six months to 30 June 2024"

    def test_days(self):
        found = [days_ahead(days).text for days in (0, 1, 12, -1, -3)]
        assert found == ["today", "in 1 day", "in 12 days", "1 day ago", "3 days ago"]
        assert days_ahead(-3).text_zh == "3天前"

    def test_names(self):
        assert family_name("cash_management") == ("cash management", "现金管理")
        assert family_name("理财") == ("理财", "理财")
        assert channel_name("mobile") == ("mobile banking", "手机银行")
        assert channel_name("branch_kiosk").text == "branch kiosk"
        assert readable(" a_b:c ") == "a b c"


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    return current_states(build_bank(tmp_path_factory.mktemp("words")))


@pytest.mark.parametrize(
    ("customer", "features", "text", "text_zh"),
    [
        ("ann", {"held:time": 1}, "Has held Time deposit since May 2023", "2023年5月起持有定期存款"),
        ("ann", {"tenure:payroll": 1}, "Has held Payroll account since May 2024", "2024年5月起持有代发工资"),
        ("firm", {"held:current": 1}, "Took out Current account lately", "近期新办理活期存款"),
        ("ann", {"held:fund": 1}, "Held Mixed fund until April 2024", "曾持有Mixed fund，至2024年4月"),
        ("ann", {"held:money_fund": 1}, "Has no Money fund yet", "尚未持有货币基金"),
        ("ann", {"products_held": 1}, "Holds 4 products of ours", "持有我行4个产品"),
        ("firm", {"products_held": 1}, "Holds 1 product of ours", "持有我行1个产品"),
        (
            "ann", {"products_added_3": 1},
            "Took out something new once in the three months to 30 June 2024",
            "截至2024年6月30日的三个月内新办理产品1次",
        ),
        (
            "ann", {"products_dropped_1": 1},
            "No product ended in the month to 30 June 2024", "截至2024年6月30日的一个月内没有产品到期或终止",
        ),
        ("ann", {"held:current": 1}, "Holds Current account", "持有活期存款"),  # for longer than is remembered
        ("p0", {"oldest_holding": 1}, "Has held a product of ours since January 2022", "自2022年1月起持有我行产品"),
        ("ann", {"age_since_any_add": 1}, "Last took out something new in May 2024", "最近一次新办理产品是在2024年5月"),
        (
            "ann", {"balance_total": 1},
            "Total balance, debts included: ¥335,400 in June 2024", "2024年6月各项余额（含负债）合计33.5万元",
        ),
        (
            "ann", {"balance:deposits": 2, "balance_change:deposits": 1},
            "Balance in deposits: ¥323,400 in June 2024, up 12% in three months",
            "2024年6月存款余额32.3万元，三个月内上升12%",
        ),
        (
            "ann", {"balance:loans": -1, "balance_change:loans": 2},
            "Balance in loans in June 2024 down 80% in three months", "贷款余额三个月内下降80%",
        ),
        ("ann", {"use:mobile": 1}, "Used mobile banking 14 times in June 2024", "2024年6月使用手机银行14次"),
        (
            "ann", {"use_before:mobile": 1},
            "Used mobile banking 7 times in the three months before June 2024", "2024年6月之前三个月使用手机银行7次",
        ),
        ("firm", {"use:mobile": 1}, "No use of mobile banking on record lately", "近期没有使用手机银行的记录"),
        (
            "ann", {"flow:inflow": 1},
            "¥50,000 came in during June 2024, 5 times the average of the three months before",
            "2024年6月转入5万元，为此前三个月平均值的5倍",
        ),
        (
            "ann", {"flow_before:inflow": 1},
            "¥10,000 a month came in during the three months before June 2024", "2024年6月之前三个月平均每月转入1万元",
        ),
        ("ann", {"flow:outflow": 1}, "¥100 went out during June 2024", "2024年6月转出100元"),
        ("ann", {"payments:payees": 1}, "Paid 6 counterparties in June 2024", "2024年6月向6个交易对手付款"),
        ("ann", {"payments:paid": 1}, "Paid counterparties ¥15,000 in June 2024", "2024年6月向交易对手付款1.5万元"),
        ("ann", {"days_since_contact": 1}, "We were in touch on 27 March 2024", "2024年3月27日与客户有过联系"),
        (
            "ann", {"contacts_accepted": 1},
            "Said yes to us once in the six months to 30 June 2024", "截至2024年6月30日的六个月内接受我行推荐1次",
        ),
        (
            "ann", {"contacts_1": 1},
            "No contact from us in the month to 30 June 2024", "截至2024年6月30日的一个月内我行未联系过客户",
        ),
        (
            "ann", {"partner_holding_share:time": 1},
            "50% of the payment partners who are clients of ours hold Time deposit",
            "与客户有资金往来的我行客户中，50%持有定期存款",
        ),
        ("ann", {"years_since_birth_date": 1}, "Is 59 years old", "客户59岁"),
        ("firm", {"years_since_founded_on": 1}, "Founded 12 years ago", "成立已12年"),
        ("ann", {"years_since_onboarded_on": 1}, "With us since March 2019", "2019年3月成为我行客户"),
        ("ann", {"tier": 1}, "Is in the vip tier", "客户等级为贵宾"),
        ("ann", {"risk_level": 1}, "Risk level C3", "风险等级C3"),
        ("ann", {"income": 1}, "Income on record: ¥12,300", "登记收入1.2万元"),
        ("ann", {"region": 1}, "Region: Zhejiang", "所在地区：浙江"),
        ("ann", {"life_stage": 1}, "Stage of life: young family", "人生阶段：年轻家庭"),
        ("ann", {"channel_preference": 1}, "Prefers mobile banking", "偏好手机银行"),
        ("firm", {"employees": 1}, "Employs 1,200", "员工1200人"),
        ("ann", {"pets": 1}, "Pets: 2", "登记的pets：2"),
        ("ann", {"favourite_colour": 1}, "Favourite colour: deep blue", "登记的favourite colour：deep blue"),
        ("ann", {"season": 1}, "The time of year speaks for it", "当前时节适合办理"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_sentences(states, customer, features, text, text_zh):
    assert say(states, customer, "money_fund", features) == (text, text_zh)


@pytest.mark.parametrize(
    ("customer", "features"),
    [
        ("ann", {"oldest_holding": 1}),  # since when is not remembered
        ("ann", {"held:pool": 1}),  # of another family and for companies
        ("firm", {"held:fund": 1}),  # for persons
        ("firm", {"years_since_birth_date": 1}),
        ("ann", {"years_since_founded_on": 1}),
        ("firm", {"balance_total": 1}),  # not known
        ("ann", {"flow_before:outflow": -1}),  # speaks against it
        ("firm", {"contacts_accepted": 1}),
        ("firm", {"partner_holding_share:time": 1}),  # too few partners to speak of
        ("firm", {"income": 1}),
        ("firm", {"region": 1}),
        ("ann", {"gender": 1}),
        ("ann", {"years_since_risk_assessed_on": 1}),
        ("ann", {"kind": 1}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_what_is_left_unsaid(states, customer, features):
    assert say(states, customer, "time", features) is None


@pytest.fixture(scope="module", params=[Frequency.MONTH, Frequency.WEEK, Frequency.QUARTER])
def random_states(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    write_parquet(folder / "tables", RandomBank(31, Calendar(request.param)).tables())
    config = BuildConfig(period=request.param)
    states = build_states(folder / "tables", folder / "workspace", config, as_of=NEWEST_DAY).states
    return lambda: states  # hypothesis would write all of the states out


def test_partners_are_those_known_in_time(random_states):
    states = random_states()
    for position in range(states.n_customers):
        client = client_of(states, position)
        for window in (1, 3, 12):
            _, partners = states.partners.of(np.array([position]), 0, window)
            assert client.n_partners(window) == states.are_known_at(partners, states.as_of_period).sum()
    assert FEWEST_PARTNERS == 5, "what fewer hold would tell one client about another"


class TestBalances:
    @pytest.mark.parametrize(
        ("now", "before", "text"),
        [
            (5_000, 4_990, "about the same as three months before"),
            (5_000, 1_000, "5 times that of three months before"),
            (1_000, 900, "up 11% in three months"),
            (900, 1_000, "down 10% in three months"),
            (150, 1_000_000, "down by more than 99% in three months"),
            (5_000, 0, None),  # hardly anything to compare with
            (50, 60, None),
        ],
    )
    def test_changes(self, states, now, before, text):
        changed = {"balance_total": now, "balance_change_3": math.log((now + 1) / (before + 1))}
        said = say(states, "firm", "time", {"balance_total": 2, "balance_change_3": 1}, **changed)
        expected = f"Total balance: ¥{now:,} in June 2024"
        assert said.text == (expected if text is None else f"{expected}, {text}")

    def test_none_is_said_as_none(self, states):
        said = say(states, "firm", "time", {"balance:loans": 1}, **{"balance:loans": 0.0})
        assert said == ("Balance in loans: none in June 2024", "2024年6月贷款余额为零")

    def test_no_row_is_an_absence_of_what_is_offered_only(self, states):
        assert say(states, "ann", "money_fund", {"balance:loans": 1}, **{"balance:loans": np.nan}) is None
        assert say(states, "firm", "loan", {"balance:loans": 1}) == (
            "Holds nothing in loans yet", "尚未持有贷款类产品",
        )  # fmt: skip

    @pytest.mark.parametrize("value", [-500.0, 0.4, np.nan, np.inf])
    def test_overdrafts_and_next_to_nothing_are_left_out(self, states, value):
        assert say(states, "ann", "money_fund", {"balance_total": 1}, balance_total=value) is None


SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_whatever_the_values_words_are_whole_or_none(random_states, seed):
    states, rng = random_states(), np.random.default_rng(seed)
    client = client_of(states, int(rng.integers(states.n_customers)))
    client.values = values_of(rng, len(feature_set_of(states).names))
    names = {"Card", "Deposit", "Fund", "Loan", "Pool", "C1", "C3", "C5", "VIP", *ATTRIBUTES}
    names |= {word for words in states.profile.vocabularies.values() for word in words}
    names |= set(states.activity.key_names)
    for topic in Topics.of(states).topics:
        product = int(rng.integers(len(states.catalogue)))
        said = sentence(topic, client, product, rng.normal(size=len(client.values)))
        if said is not None:
            check_wellformed(*said)
            check_chinese(said.text_zh, names)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_whatever_the_figures_triggers_are_whole_or_none(states, seed):
    rng = np.random.default_rng(seed)
    client = client_of(states, int(rng.integers(states.n_customers)))
    figures = values_of(rng, 2 * len(TRIGGERS)).reshape(1, -1, 2)
    policy = compiled(states)
    words = TriggerWords(client, SimpleNamespace(figures=figures), policy.triggers, policy.policy, NEWEST_DAY)
    for trigger in range(len(TRIGGERS)):
        words.products(trigger)
        said = words.sentence(trigger)
        if said is not None:
            check_wellformed(*said)
            check_chinese(said.text_zh, {"Mixed fund"})


class TestTriggers:
    @pytest.mark.parametrize(
        ("trigger", "figures", "text", "text_zh"),
        [
            (
                "maturing", (200_000, 12),
                "Time deposit matures in 12 days: ¥200,000 held in it", "定期存款12天后到期，该产品余额20万元",
            ),
            ("maturing", (np.nan, 12), "Time deposit matures in 12 days", "定期存款12天后到期"),
            ("maturing", (np.nan, 5), "An account matures in 5 days", "有账户5天后到期"),
            (
                "large_inflow", (50_000, 10_000),
                "¥50,000 came in lately, 5 times the usual amount", "近期转入5万元，为平时的5倍",
            ),
            ("large_inflow", (50_000, 0), "¥50,000 came in lately, more than usual", "近期转入5万元，高于平时"),
            ("salary_started", (1, np.nan), "Has held Payroll account since May 2024", "2024年5月起持有代发工资"),
            (
                "loan_nearly_repaid", (12_000, np.nan),
                "The loan is nearly repaid: ¥12,000 left", "贷款即将还清，剩余1.2万元",
            ),
            ("loan_nearly_repaid", (np.nan, 0), "A loan is due today", "有贷款今天到期"),
            (
                "balance_falling", (40_000, 110_000),
                "Balances fell to ¥40,000 from ¥110,000: the client may be leaving",
                "资产余额由11万元降至4万元，客户可能正在流失",
            ),
            ("next_tier", (8_000, 500_000), "¥8,000 short of the wealth tier", "距财富等级还差8000元"),
            ("next_tier", (-5, 500_000), "Has reached the assets of the wealth tier", "资产已达到财富等级标准"),
            ("life_stage_birthday", (60, 9), "Turns 60 in 9 days", "9天后满60岁"),
            ("life_stage_birthday", (60, 0), "Turns 60 today", "今天满60岁"),
            ("life_stage_birthday", (60, -1), "Turned 60, 1 day ago", "1天前满60岁"),
            ("salary_stopped", (np.nan, np.nan), None, None),
        ],
    )  # fmt: skip
    def test_sentences(self, states, trigger, figures, text, text_zh):
        number = TRIGGERS.index(trigger)
        found = np.full((1, len(TRIGGERS), 2), np.nan, np.float32)
        found[0, number] = figures
        policy = compiled(states)
        client = client_of(states, states.position_of("ann"))
        words = TriggerWords(client, SimpleNamespace(figures=found), policy.triggers, policy.policy, NEWEST_DAY)
        assert words.sentence(number) == (None if text is None else (text, text_zh))


def test_products_without_a_chinese_name_keep_their_own(states):
    names = {p.product_id: said for p, said in zip(states.catalogue.products, Topics.of(states).names, strict=True)}
    assert names["fund"] == ("Mixed fund", "Mixed fund")
    assert names["time"] == ("Time deposit", "定期存款")
