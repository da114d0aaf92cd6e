"""A topic without words of its own: its title and one figure, written as dtype, measure and window say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import current_states, families
from features.families import FAMILIES, Feature, FeatureFamily, Measure, Subject, Title, TopicKey
from features.families.feature import DTYPES, WINDOWED

from .told_bank import build_bank, say, values_of

TITLE = Title("Parking fees", "停车费")
LONE = {(dtype, measure) for dtype in DTYPES if dtype != "code" for measure in Measure}


class Figures(FeatureFamily):
    """Every dtype under every measure, each a topic; and texts by their codes."""

    name = "figures"
    title = Title("figures", "数字")

    def define(self, states):
        return [
            *(
                Feature(
                    group=f"{dtype}_{measure}", meaning="parking", dtype=dtype, measure=measure,
                    topic=TopicKey(f"{dtype} {measure}", Subject.FIGURE, title=TITLE),
                    window=4 if measure in WINDOWED else 0,
                )
                for dtype, measure in sorted(LONE)
            ),
            Feature(
                group="texts", meaning="parking", dtype="code", measure=Measure.LEVEL, vocabulary="life_stage",
                topic=TopicKey("texts", Subject.FIGURE, title=TITLE),
            ),
        ]  # fmt: skip

    def compute(self, block, out):
        """What a test sets is all there is."""


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    workspace = build_bank(tmp_path_factory.mktemp("told"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "FAMILIES", (*FAMILIES, Figures))
        states = current_states(workspace)
        say(states, "ann", "time", {"texts": 1})  # features are made while the family is there
    return states


def said(states, group, value):
    return say(states, "ann", "time", {group: 1}, **{group: value})


@pytest.mark.parametrize(
    ("group", "value", "text", "text_zh"),
    [
        ("amount_level", 12_300, "¥12,300 in June 2024", "2024年6月1.2万元"),
        (
            "amount_mean",
            500,
            "¥500 a month in the 4 months before June 2024",
            "2024年6月之前4个月平均每月500元",
        ),
        ("amount_rate", 500, "¥500 a month in the 4 months to 30 June 2024", "截至2024年6月30日的4个月内平均每月500元"),
        ("amount_earlier", 500, "¥500 in February 2024", "2024年2月500元"),
        ("count_count", 7, "7 in the 4 months to 30 June 2024", "截至2024年6月30日的4个月内7"),
        ("count_added", 0, "0 in the 4 months to 30 June 2024", "截至2024年6月30日的4个月内0"),
        ("log_ratio_change", np.log(1.5), "up 50% in 4 months", "4个月内上升50%"),
        ("log_ratio_change", np.log(0.5), "down 50% in 4 months", "4个月内下降50%"),
        ("log_ratio_change", -12, "down by more than 99% in 4 months", "4个月内下降超过99%"),
        ("share_share", 0.25, "25% in June 2024", "2024年6月25%"),
        ("flag_level", 1, "yes in June 2024", "2024年6月是"),
        ("flag_earlier", 0, "no in February 2024", "2024年2月否"),
        ("number_level", -1.5, "-1.5 in June 2024", "2024年6月-1.5"),
        ("number_ago", 3, "27 June 2024", "2024年6月27日"),
        ("periods_ago", 2, "April 2024", "2024年4月"),
        ("periods_tenure", 3, "since April 2024", "2024年4月起"),
        ("years_ago", 2.9, "2 years ago", "2年前"),
        ("years_tenure", 1.2, "1 year", "1年"),
        ("texts", 0, "young family", "年轻家庭"),
    ],
)
def test_figures(states, group, value, text, text_zh):
    assert said(states, group, value) == (f"{TITLE.text}: {text}", f"{TITLE.text_zh}：{text_zh}")


@pytest.mark.parametrize(
    ("group", "value"),
    [
        ("amount_level", 0.4), ("amount_level", -5), ("share_share", 0.001), ("share_share", 2), ("count_count", -1),
        ("log_ratio_change", 0.001), ("periods_ago", 64), ("periods_tenure", 0), ("years_ago", 0.5), ("texts", 7),
        ("number_ago", -1), ("number_level", np.nan), ("number_level", np.inf),
    ],
)  # fmt: skip
def test_what_is_next_to_nothing_or_not_known_is_left_unsaid(states, group, value):
    assert said(states, group, value) is None


@given(st.sampled_from(sorted(LONE)), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_whatever_the_value_words_are_whole_or_none(states, lone, seed):
    (value,) = values_of(np.random.default_rng(seed), 1)
    said(states, f"{lone[0]}_{lone[1]}", value)  # checks what it says
