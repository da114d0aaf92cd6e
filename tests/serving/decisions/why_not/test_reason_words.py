"""Every reason can be put into words: a new one cannot be forgotten."""

import pytest

from serving.decisions import Reason
from serving.decisions.why_not import REASON_WORDS
from serving.decisions.why_not.one_product import EXPLAINED

from .chinese import untranslated


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_in_both_languages(reason):
    said = REASON_WORDS[reason]
    assert said.text.isascii()
    assert said.text_zh
    assert untranslated(said.text_zh, ()) == []


def test_no_two_reasons_say_the_same():
    for texts in zip(*REASON_WORDS.values(), strict=True):
        assert len(set(texts)) == len(Reason)


def test_every_reason_that_excludes_is_explained():
    assert set(EXPLAINED) == set(Reason) - {Reason.PERSONALISATION_REFUSED}
