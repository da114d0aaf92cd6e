"""Every explanation of random decisions: that there is one, in both languages, and that it agrees with the oracle's
reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from serving.answering.recommendation import Versions, recommendations_of
from serving.decisions import Context, FreshEvent, FreshEvents, Reason
from serving.decisions.reason_codes import first_reason
from serving.decisions.why_not import nothing_because, why_not
from serving.language import Language
from tests.serving.decisions.random_banks import UNDEFINED_TIER
from tests.serving.decisions.random_policies import Case, cases, compiled, decided, random_case
from tests.serving.decisions.test_against_oracle import question, search

from .chinese import codes_of, untranslated

pytestmark = pytest.mark.slow

VERSIONS = Versions("1", "states", "2024-06-30", "policy", "catalogue")


def block_of(case: Case):
    fresh = FreshEvents.of(case.bank.states, [FreshEvent(**vars(event)) for event in case.events])
    return fresh.lay_over(case.bank.block_of(case.customers, case.period), case.day)


def codes_in(case: Case) -> set[str]:
    return codes_of(case.bank.states.catalogue, case.policy.suitability.pack) | {UNDEFINED_TIER}


def assert_speaks_both(english: str, chinese: str, case: Case) -> None:
    assert english
    assert chinese
    assert english != chinese
    assert english.isascii() or "—" in english, english
    assert untranslated(chinese, codes_in(case)) == [], chinese
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)


def reasons_by_the_oracle(case: Case, policy, row: int) -> dict[str, list[Reason]]:
    """Of each product in question, in the order of the layers."""
    asked = question(case, policy, row)
    expected = case.bank.oracle.decide_one(case.customers[row], case.period, asked, case.events)
    return {
        product_id: sorted(Reason(reason) for reason in reasons if reason != Reason.PERSONALISATION_REFUSED)
        for product_id, reasons in expected.reasons.items()
        if asked.in_question is None or product_id in asked.in_question
    }


@search(60)
@given(cases())
def test_every_product_is_explained_in_both_languages(case: Case) -> None:
    policy, decisions, block = compiled(case), decided(case), block_of(case)
    context = Context(case.channel, case.day, case.asked)
    for row in range(0, len(case.customers), 4):
        for product in range(len(case.product_ids)):
            said = why_not(decisions, block, policy, context, row, product)
            first = first_reason(int(decisions.excluded[row, product]))
            assert said.reason == (None if first is None else first.name)
            assert_speaks_both(said.detail, said.detail_zh, case)


@search(100)
@given(cases())
def test_who_is_offered_nothing_is_told_what_stands_against_it(case: Case) -> None:
    check_nothing(case)


def check_nothing(case: Case) -> int:
    """How many customers are offered nothing."""
    policy, decisions = compiled(case), decided(case)
    asked = np.isin(case.product_ids, case.asked)
    nobody = np.flatnonzero(~(decisions.products >= 0).any(axis=1)).tolist()
    for row in nobody:
        found = nothing_because(decisions, row, asked)
        assert found
        reasons = reasons_by_the_oracle(case, policy, row)
        told = {} if found[0].reason is None else {Reason[each.reason]: each.products for each in found}
        assert told == expected_counts(reasons, case.asked)
        assert list(told) == sorted(told, key=order_of(reasons, case.asked, told))
        for each in found:
            assert each.reason is None or each.layer == Reason[each.reason].layer
            assert_speaks_both(each.text, each.text_zh, case)
    return len(nobody)


def against_everything(reasons: dict[str, list[Reason]], asked: tuple[str, ...]) -> set[Reason]:
    """What stands against all that was not asked for, or against all where all was."""
    unasked = [set(found) for product_id, found in reasons.items() if product_id not in asked]
    those = unasked or [set(found) for found in reasons.values()]
    return set.intersection(*those) if those else set()


def expected_counts(reasons: dict[str, list[Reason]], asked: tuple[str, ...]) -> dict[Reason, int]:
    everywhere = against_everything(reasons, asked)
    counts = Counter(reason for found in reasons.values() for reason in found if reason in everywhere)
    counts.update(found[0] for found in reasons.values() if not everywhere & set(found))
    return dict(counts)


def order_of(reasons, asked, told):
    everywhere = against_everything(reasons, asked)

    def place(reason: Reason):
        is_catalogues = reason in (Reason.NOT_ON_SALE, Reason.WRONG_CUSTOMER_KIND)
        return (0, 0, 0, reason) if reason in everywhere else (1, is_catalogues, -told[reason], reason)

    return place


@search(60)
@given(cases())
def test_what_the_client_asked_for_is_always_answered_about(case: Case) -> None:
    check_asked(case)


def check_asked(case: Case) -> Counter:
    """How often each reason was given."""
    policy, decisions, block = compiled(case), decided(case), block_of(case)
    context = Context(case.channel, case.day, (*case.asked, *case.asked[:1]))
    given_reasons: Counter = Counter()
    for row, found in enumerate(recommendations_of(block, decisions, policy, context, VERSIONS)):
        assert [each.product_id for each in found.client_asked] == list(case.asked)
        assert bool(found.nothing_because) == (not found.suggestions)
        ranks = {suggestion.product_id: suggestion.rank for suggestion in found.suggestions}
        reasons = reasons_by_the_oracle(case, policy, row) if row % 8 == 0 and case.asked else {}
        for each in found.client_asked:
            product = case.product_ids.index(each.product_id)
            said = why_not(decisions, block, policy, context, row, product)
            assert each.rank == ranks.get(each.product_id)
            assert (each.layer, each.reason) == (said.layer, said.reason)
            assert (each.text, each.text_zh) == (said.detail, said.detail_zh)
            if each.product_id in reasons:
                first = next(iter(reasons[each.product_id]), None)
                assert each.reason == (first.name if first is not None else None)
            assert_speaks_both(each.text, each.text_zh, case)
            given_reasons[each.reason] += 1
        check_json(found)
    return given_reasons


def check_json(found) -> None:
    for language in Language:
        told = found.to_dict(language)
        assert ("client_asked" in told) == bool(found.client_asked)
        assert ("nothing_because" in told) == (not found.suggestions)
        for each in told.get("client_asked", ()):
            assert each["offered"] == (each["rank"] is not None)
            assert not (each["offered"] and each["reason"])


def test_the_search_meets_all_sorts_of_explanations() -> None:
    """What is asked of nobody proves nothing."""
    n_nobody, given_reasons = 0, Counter()
    for number in range(40):
        case = random_case(number)
        n_nobody += check_nothing(replace(case, in_question=None))
        given_reasons += check_asked(replace(case, asked=case.product_ids))
    assert n_nobody > 100
    assert None in given_reasons  # offered
    of_who_asks = {
        reason.name
        for reason in Reason
        if reason.layer in ("candidate", "eligibility", "suitability") or reason is Reason.OUTRANKED
    }
    assert of_who_asks <= set(given_reasons)
