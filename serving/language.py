"""The languages in which people are spoken to."""

from enum import StrEnum
from typing import Protocol


class Language(StrEnum):
    """English or Chinese."""

    EN = "en"
    ZH = "zh"


class Bilingual(Protocol):
    """What is said in both."""

    @property
    def text(self) -> str:
        """In English."""

    @property
    def text_zh(self) -> str:
        """In Chinese."""


def text_in(language: Language, said: Bilingual) -> str:
    """What is said in `language`."""
    return said.text_zh if language is Language.ZH else said.text
