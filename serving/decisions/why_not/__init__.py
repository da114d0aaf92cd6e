"""Why a product is not offered to a customer: in words, in both languages."""

from .one_product import WhyNot, why_not

__all__ = ["WhyNot", "why_not"]
