"""What consent and the contact policy say: what the customer agreed to, and when to leave the customer in peace."""

from __future__ import annotations

from collections.abc import Callable

from ...language import Language
from ..layers.contact_policy import LATER_RULE, reason_of
from ..policy.phrases import Phrases
from ..policy.words import silence_words
from ..reason_codes import Reason
from ..reasons.wording_parts import Said, channel_name
from .case import Case, Explanation

_ENGLISH, _CHINESE = Phrases(Language.EN), Phrases(Language.ZH)


def marketing_refused(case: Case) -> Explanation:
    """Refused everywhere, or never agreed to."""
    if case.rules.consent.marketing_without_record == "refused":
        return "consent", Said("the customer refuses marketing, or was never asked", "客户拒绝营销，或从未就此表态")
    return "consent", Said("the customer refuses marketing", "客户拒绝营销")


def channel_refused(case: Case) -> Explanation:
    """Refused through the decision's channel."""
    channel = channel_name(case.context.channel)
    return "consent", Said(
        f"the customer refuses marketing through {channel.text}", f"客户拒绝通过{channel.text_zh}接收营销"
    )


def silence(reason: Reason) -> Callable[[Case], Explanation]:
    """Of the contact rule that gives a reason."""

    def explain(case: Case) -> Explanation:
        hits = int(case.decisions.silences.rules[case.row, case.position])
        for number, rule in enumerate(case.rules.contact_policy.rules):
            if hits >> number & 1 and reason_of(rule.after.outcome, rule.after.times) is reason:
                return rule.rule, Said(silence_words(rule, _ENGLISH), silence_words(rule, _CHINESE))
        assert hits >> LATER_RULE
        return "later", Said(
            "the customer asked to be approached about it later", "客户表示以后再说，尚未到再次联系的时间"
        )

    return explain


def complaint(case: Case) -> Explanation:
    """A complaint is open."""
    return "open_complaint", Said("a complaint is open", "客户有未结投诉")
