"""The languages in which people are spoken to."""

from enum import StrEnum


class Language(StrEnum):
    """English or Chinese."""

    EN = "en"
    ZH = "zh"
