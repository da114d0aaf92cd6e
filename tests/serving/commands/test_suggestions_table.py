"""Suggestions on the terminal: what is not suggested, and why."""

import pytest
from rich.console import Console

from serving.answering.recommendation import AskedProduct, Recommendation, Versions
from serving.commands.suggestions_table import suggestions_table, why_not_lines
from serving.decisions.why_not import Excluding, WhyNot
from serving.language import Language

VERSIONS = Versions("1", "states", "2026-06-30", "policy", "catalogue")
ASKED = AskedProduct(
    "gold", "Gold account", "黄金账户", None, "candidate", "HELD", "the customer holds it", "客户已持有该产品"
)
BECAUSE = Excluding("consent", "CHANNEL_REFUSED", 2, "all 2 products: refused", "全部2个产品：已拒绝")


def shown(language, **changes):
    nothing = Recommendation("ann", "rm", "2026-06-30", True, (), (), (), VERSIONS, (ASKED,), (BECAUSE,))
    console = Console(width=160)
    with console.capture() as capture:
        console.print(suggestions_table([nothing._replace(**changes)], language))
    return capture.get()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (Language.EN, ("nothing to offer", "all 2 products: refused", "Gold account (gold)", "the customer holds it")),
        (Language.ZH, ("暂无可推荐产品", "全部2个产品：已拒绝", "黄金账户 (gold)", "客户已持有该产品")),
    ],
)
def test_an_empty_table_says_why_and_what_the_client_asked_for_in_vain(language, words):
    for each in words:
        assert each in shown(language)


def test_what_the_client_asked_for_and_gets_is_not_said_twice():
    assert "gold" not in shown(Language.EN, client_asked=(ASKED._replace(rank=1),))


@pytest.mark.parametrize(
    ("language", "words"),
    [(Language.EN, "by popularity: personalisation refused"), (Language.ZH, "按热度排序：客户拒绝个性化推荐")],
)
def test_who_is_not_personalised_is_said_to_be(language, words):
    assert words in shown(language, personalised=False)
    assert words not in shown(language)


def test_why_not_as_lines():
    found = WhyNot(
        "candidate", "HELD", "products table", "the customer holds it", "客户已持有该产品", ("HELD", "TOO_OLD")
    )
    assert (
        why_not_lines("gold", found)
        == "gold: candidate, HELD\nrule: products table\nthe customer holds it\nalso: TOO_OLD"
    )
    assert why_not_lines("gold", found, Language.ZH) == (
        "gold: candidate, HELD\n规则：products table\n客户已持有该产品\n其他原因：TOO_OLD"
    )
    offered = WhyNot(None, None, None, "offered, as number 1", "已推荐，排在第1位", ())
    assert why_not_lines("gold", offered, Language.ZH) == "gold: 已推荐，排在第1位"
