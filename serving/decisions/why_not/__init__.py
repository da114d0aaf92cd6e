"""Why a product is not offered to a customer, and why nothing is: in words, in both languages."""

from .no_products import Excluding, nothing_because
from .one_product import WhyNot, why_not
from .reason_words import REASON_WORDS

__all__ = ["REASON_WORDS", "Excluding", "WhyNot", "nothing_because", "why_not"]
