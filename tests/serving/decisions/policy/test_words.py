"""A policy in words: every rule by name, with its figures, in both languages."""
# ruff: noqa: E501 - a sentence is a line

import re
import string

import pytest

from features.states import current_states
from serving.decisions.policy.loading import load_policy, standard_policy_path
from serving.decisions.policy.phrases import PHRASES, figure, percent
from serving.decisions.policy.words import as_text, policy_words
from serving.language import Language
from tests.serving.decisions.policy.policy_texts import write_policy

DEMO = standard_policy_path().with_name("demo.yaml")


@pytest.fixture(scope="module")
def demo():
    return load_policy(DEMO).policy


@pytest.fixture
def said(tmp_path):
    """What is said of the small policy with `new` in place of `old`."""

    def say(old="", new="", language=Language.EN, catalogue=None):
        return as_text(policy_words(load_policy(write_policy(tmp_path, old, new)).policy, language, catalogue))

    return say


class TestPhrases:
    @pytest.mark.parametrize("phrase", PHRASES)
    def test_both_languages_have_the_same_gaps(self, phrase):
        gaps = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in PHRASES[phrase]]
        assert len(gaps) == len(Language)
        assert gaps[0] == gaps[1]

    @pytest.mark.parametrize(("value", "text"), [(4_000_000.0, "4,000,000"), (0.05, "0.05"), (22, "22"), (22.0, "22")])
    def test_figures_are_written_as_people_do(self, value, text):
        assert figure(value) == text

    def test_shares_are_percentages(self):
        assert [percent(0.0005), percent(0.2)] == ["0.05%", "20%"]


class TestEveryRule:
    @pytest.mark.parametrize("language", Language)
    @pytest.mark.parametrize("path", sorted(DEMO.parent.glob("*.yaml")), ids=lambda path: path.stem)
    def test_is_there_by_name(self, path, language):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^ +- (?:rule|action): (\S+)$", text, re.MULTILINE)
        words = as_text(policy_words(load_policy(path).policy, language))
        assert names
        assert [name for name in names if not re.search(rf"[\[【]{name}[\]】]", words)] == []
        assert "{" not in words

    @pytest.mark.parametrize("language", Language)
    def test_every_figure_of_the_demonstration_is_said(self, demo, language):
        words = as_text(policy_words(demo, language))
        for value in ("100,000", "4,000,000", "20,000", "5,000", "90", "120", "0.05%", "0.2%", "1.5", "1.3", "365",
                      "50,000", "2026-09-30", "10%", "60%", "0.9"):  # fmt: skip
            assert value in words, value

    def test_a_trigger_has_a_sentence_with_its_figures(self, demo):
        sections = dict(policy_words(demo))
        assert len(sections["Triggers"]) == 8
        assert (
            "[large_inflow] 20,000 or more came in, and 3 times the mean of the 6 periods before or more: the weight of "
            "family deposits, wealth or funds is 1.4."
        ) in sections["Triggers"]

    def test_chinese_is_chinese(self, demo):
        headings = [heading for heading, _ in policy_words(demo, Language.ZH)]
        assert headings == [
            "策略",
            "规则所用的名称",
            "准入",
            "适当性",
            "授权",
            "触达规则",
            "触发事件",
            "服务事项",
            "优选排序",
            "公平性",
        ]
        assert "【renew-risk-assessment】风险评估过期时：“风险承受能力评估已过期" in as_text(
            policy_words(demo, Language.ZH)
        )


class TestInheritance:
    def test_what_takes_a_rules_place_is_said_with_it(self, demo, trained):
        words = as_text(policy_words(demo, Language.EN, current_states(trained).catalogue))
        assert (
            "[cards-from-20] For family cards, retail customers: aged 20 or more; for debit_card instead: aged 16 or more "
            "(rule debit-card-from-16); for credit_card_platinum instead: aged 25 or more (rule platinum)."
        ) in words

    def test_only_what_both_rules_set_is(self, said):
        rules = "min_age: 18\n  - {rule: other, for: {product: credit_card}, min_balance: 5}"
        assert "instead" not in said("min_age: 18", rules)

    def test_a_product_of_another_family_takes_no_place(self, said, trained):
        rules = "min_age: 18\n  - {rule: other, for: {product: car_loan}, min_age: 30}"
        assert "for car_loan instead: aged 30 or more (rule other)" in said("min_age: 18", rules)
        assert "instead" not in said("min_age: 18", rules, catalogue=current_states(trained).catalogue)

    def test_floors_inherit_too(self, said):
        words = said("    floor: 0.001\n", "    floor: 0.001\n  - {rule: low, for: {tier: vip}, floor: 0}\n")
        assert "for customers of tier vip instead: offered with a propensity of 0% or more (rule low)" in words


class TestSentences:
    @pytest.mark.parametrize(
        ("old", "new", "english", "chinese"),
        [
            ("", "contact_policy: {rules: [{rule: q, after: {outcome: no_answer}, silent_days: 1, scope: channel}]}\n",
             "[q] After no answer: silence about everything through the channel for 1 day.", "【q】未联系上后：该渠道静默1天。"),
            ("", "contact_policy: {rules: [{rule: q, after: {outcome: declined, times: 2, within_days: 9}, silent_days: 7, scope: all}]}\n",
             "After 2 offers declined within 9 days: silence about everything for 7 days.", "9天内客户拒绝2次后：全部产品静默7天。"),
            ("", "contact_policy: {later: null, open_complaint: ignored}\n", "\"Later\" has no consequence.", "未结投诉不影响推荐。"),
            ("", "consent: {marketing_without_record: refused}\n", "marketing counts as refused", "视为拒绝营销"),
            ("", "arbitration: {ramp: null}\n", "gets no help", "不作扶持"),
            ("pack: china", "pack: {pack: own, valid_days: 30, allowed: {C1: [], C2: [], C3: [], C4: [], C5: [R1]}}",
             "level C1 may be offered no rated product", "C5客户可推荐R1产品"),
            ("tiers:\n  ordinary:\n  vip: 100\n  wealth: 1_000\n", "", "No tiers are defined", "未定义客户等级"),
        ],
    )  # fmt: skip
    def test_what_a_setting_means(self, said, old, new, english, chinese):
        assert english in said(old, new)
        assert chinese in said(old, new, Language.ZH)
