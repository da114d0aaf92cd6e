"""What is not suggested, and why, on the terminal."""

from serving.decisions.why_not import WhyNot
from serving.language import Language
from serving.summary import why_not_lines


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
