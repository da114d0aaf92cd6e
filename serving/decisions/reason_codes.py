"""Why a product is not offered: the layers of a decision and the reasons each may give, as bits.

Bits are in the order of the layers, so the lowest bit set is the first reason.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class Layer(StrEnum):
    """The layers of a decision, in the order in which they run."""

    CANDIDATE = "candidate"
    ELIGIBILITY = "eligibility"
    SUITABILITY = "suitability"
    CONSENT = "consent"
    CONTACT_POLICY = "contact_policy"
    ARBITRATION = "arbitration"


class Reason(IntEnum):
    """Why a product is not offered; the value is the number of the reason's bit.

    `PERSONALISATION_REFUSED` excludes nothing: it says that the products are ranked by popularity, not for the person.
    """

    HELD = 0
    NOT_ON_SALE = 1
    WRONG_CUSTOMER_KIND = 2
    TOO_YOUNG = 3
    TOO_OLD = 4
    TIER_TOO_LOW = 5
    BALANCE_TOO_LOW = 6
    MISSING_PREREQUISITE = 7
    EXCLUDED_BY_HOLDING = 8
    RISK_ABOVE_TOLERANCE = 9
    RISK_ASSESSMENT_MISSING = 10
    RISK_ASSESSMENT_EXPIRED = 11
    ELDERLY_HIGH_RISK = 12
    FUNDS_MISMATCH = 13
    MARKETING_REFUSED = 14
    CHANNEL_REFUSED = 15
    PERSONALISATION_REFUSED = 16
    RECENTLY_DECLINED = 17
    RECENTLY_CONTACTED = 18
    CONTACT_LIMIT_REACHED = 19
    OPEN_COMPLAINT = 20
    PROPENSITY_BELOW_FLOOR = 21
    OUTRANKED = 22

    @property
    def bit(self) -> np.uint32:
        """The reason as a mask."""
        return np.uint32(1 << self.value)

    @property
    def layer(self) -> Layer:
        """The layer that gives the reason."""
        return next(layer for layer, reasons in REASONS_OF.items() if self in reasons)


REASONS_OF: dict[Layer, tuple[Reason, ...]] = {
    Layer.CANDIDATE: (Reason.HELD, Reason.NOT_ON_SALE, Reason.WRONG_CUSTOMER_KIND),
    Layer.ELIGIBILITY: (
        Reason.TOO_YOUNG,
        Reason.TOO_OLD,
        Reason.TIER_TOO_LOW,
        Reason.BALANCE_TOO_LOW,
        Reason.MISSING_PREREQUISITE,
        Reason.EXCLUDED_BY_HOLDING,
    ),
    Layer.SUITABILITY: (
        Reason.RISK_ABOVE_TOLERANCE,
        Reason.RISK_ASSESSMENT_MISSING,
        Reason.RISK_ASSESSMENT_EXPIRED,
        Reason.ELDERLY_HIGH_RISK,
        Reason.FUNDS_MISMATCH,
    ),
    Layer.CONSENT: (Reason.MARKETING_REFUSED, Reason.CHANNEL_REFUSED, Reason.PERSONALISATION_REFUSED),
    Layer.CONTACT_POLICY: (
        Reason.RECENTLY_DECLINED,
        Reason.RECENTLY_CONTACTED,
        Reason.CONTACT_LIMIT_REACHED,
        Reason.OPEN_COMPLAINT,
    ),
    Layer.ARBITRATION: (Reason.PROPENSITY_BELOW_FLOOR, Reason.OUTRANKED),
}
"""The reasons of each layer, in order."""


def mask_of(*reasons: Reason) -> np.uint32:
    """The bits of several reasons."""
    return np.uint32(sum(1 << reason.value for reason in reasons))


BEFORE_ARBITRATION = mask_of(
    *(
        reason
        for reason in Reason
        if reason < Reason.PROPENSITY_BELOW_FLOOR and reason is not Reason.PERSONALISATION_REFUSED
    )
)
"""What excludes a product whatever its priority: a product without any of these could be offered."""


def reasons_in(bits: int) -> tuple[Reason, ...]:
    """The reasons of one customer and product, the first one first."""
    return tuple(reason for reason in Reason if bits >> reason.value & 1)


@lru_cache(maxsize=4096)
def first_reason(bits: int) -> Reason | None:
    """What excludes one customer and product first; None: nothing does."""
    return next((reason for reason in reasons_in(bits) if reason is not Reason.PERSONALISATION_REFUSED), None)


def first_reasons(bits: NDArray[np.uint32]) -> NDArray[np.int8]:
    """The number of the lowest bit set, int8, shape of `bits`; -1 where none is."""
    lowest = bits & (~bits + np.uint32(1))
    return np.where(bits == 0, -1, np.log2(np.maximum(lowest, 1)).astype(np.int8)).astype(np.int8)
