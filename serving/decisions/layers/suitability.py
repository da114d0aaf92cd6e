"""The third layer: does the product's risk suit the customer? It fails closed, by the pack's matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import Catalogue
from features.contracts import KINDS, RISK_LEVELS
from features.kernels import kernel

from ..policy.sections import Suitability
from ..policy.suitability_pack import rank_of_rating
from ..reason_codes import Reason, mask_of
from .facts import EXPIRED_ASSESSMENT, MISSING_ASSESSMENT, CustomerFacts

CLIENT_ASKED_STEP, ELDERLY_STEP = 1, 2
"""What has to be done before a product that the client asked for, as bits."""

_ABOVE, _MISSING = Reason.RISK_ABOVE_TOLERANCE.bit, Reason.RISK_ASSESSMENT_MISSING.bit
_EXPIRED, _ELDERLY = Reason.RISK_ASSESSMENT_EXPIRED.bit, Reason.ELDERLY_HIGH_RISK.bit
_FUNDS = Reason.FUNDS_MISMATCH.bit
_NEVER = 6  # a rating that no product has
_CORPORATE = KINDS.index("corporate")


class SuitabilityTables(NamedTuple):
    """A pack, and a catalogue's ratings, as arrays.

    Attributes
    ----------
    ratings : int8, shape (n_products,); 1 to 5, 0: not judged
    allowed : bool, shape (6, 6); by level and rating, both from 1
    elderly_age, elderly_rating : from which on a further step is needed
    funds_ratings : int8, shape (n_funds,); from which on the other two hold
    funds_assets : float32, same shape; least assets, -inf: none
    funds_debts : float32, same shape; most debts over assets, inf: none
    set_aside : reasons that do not exclude what the client asked for
    not_barred : bool, shape (6,); the levels for which they do not
    """

    ratings: NDArray[np.int8]
    allowed: NDArray[np.bool_]
    elderly_age: float
    elderly_rating: int
    funds_ratings: NDArray[np.int8]
    funds_assets: NDArray[np.float32]
    funds_debts: NDArray[np.float32]
    set_aside: np.uint32
    not_barred: NDArray[np.bool_]

    @classmethod
    def of(cls, suitability: Suitability, catalogue: Catalogue) -> SuitabilityTables:
        """The tables of a policy's suitability section."""
        pack = suitability.pack
        allowed = np.zeros((len(RISK_LEVELS) + 1, len(RISK_LEVELS) + 1), dtype=np.bool_)
        for level, ratings in pack.allowed.items():
            for rating in ratings:
                allowed[RISK_LEVELS.index(level) + 1, rank_of_rating(rating)] = True
        asked = pack.client_asked
        not_barred = np.zeros(len(RISK_LEVELS) + 1, dtype=np.bool_)
        if asked is not None:
            not_barred[1:] = [level not in asked.barred_levels for level in RISK_LEVELS]
        return cls(
            ratings_of(suitability, catalogue),
            allowed,
            float(pack.elderly.from_age) if pack.elderly else np.inf,
            rank_of_rating(pack.elderly.from_rating) if pack.elderly else _NEVER,
            np.array([rank_of_rating(funds.from_rating) for funds in pack.funds], dtype=np.int8),
            np.array([-np.inf if f.min_assets is None else f.min_assets for f in pack.funds], dtype=np.float32),
            np.array(
                [np.inf if f.max_debt_to_assets is None else f.max_debt_to_assets for f in pack.funds], dtype=np.float32
            ),
            mask_of(*(Reason[name] for name in asked.allows)) if asked else np.uint32(0),
            not_barred,
        )


def ratings_of(suitability: Suitability, catalogue: Catalogue) -> NDArray[np.int8]:
    """Int8, shape (n_products,): the higher of issuer's and seller's rating; the highest for what should have one and
    has none; 0 for what is not judged."""
    ratings = []
    for product in catalogue.products:
        rating = max(rank_of_rating(product.risk_rating), rank_of_rating(product.issuer_risk_rating))
        if not rating and product.family in suitability.rated_families:
            rating = len(RISK_LEVELS)
        ratings.append(rating)
    return np.array(ratings, dtype=np.int8)


def exclude(
    facts: CustomerFacts, asked: NDArray[np.bool_], tables: SuitabilityTables, reasons: NDArray[np.uint32]
) -> None:
    """Add the layer's reasons to all `reasons`, as `rows` does."""
    arguments = facts.kinds, facts.ages, facts.levels, facts.assessments, facts.assets, facts.debts
    rows(0, len(reasons), *arguments, asked, tables, reasons, np.zeros(reasons.shape, dtype=np.uint8))


@kernel
def rows(start, stop, kinds, ages, levels, assessments, assets, debts, asked, tables, reasons, steps):  # type: ignore[no-untyped-def]
    """Add the layer's reasons to some rows of `reasons`, uint32, shape (n_customers, n_products).

    Parameters
    ----------
    asked : bool, shape (n_products,); what the client asked for
    steps : uint8, shape of `reasons`; gets bits of what has to be done first, where a reason was set aside
    """
    for row in range(start, stop):
        level, age = levels[row], ages[row]
        by_assessment = np.uint32(0)
        if assessments[row] & MISSING_ASSESSMENT:
            by_assessment |= _MISSING
        if assessments[row] & EXPIRED_ASSESSMENT:
            by_assessment |= _EXPIRED
        elderly = kinds[row] != _CORPORATE and not age < tables.elderly_age  # of unknown age: possibly
        own = assets[row]
        for product in range(len(tables.ratings)):
            rating = tables.ratings[product]
            if rating == 0:
                continue
            bits = by_assessment
            if level > 0 and not tables.allowed[level, rating]:
                bits |= _ABOVE
            if elderly and rating >= tables.elderly_rating:
                bits |= _ELDERLY
            for funds in range(len(tables.funds_ratings)):
                if rating >= tables.funds_ratings[funds]:
                    most = tables.funds_debts[funds] * own
                    # what is not known does not match: each comparison with NaN fails
                    if not own >= tables.funds_assets[funds] or debts[row] > most:
                        bits |= _FUNDS
            if asked[product] and tables.not_barred[level]:
                aside = bits & tables.set_aside
                bits &= ~tables.set_aside
                if aside:
                    steps[row, product] = CLIENT_ASKED_STEP | (ELDERLY_STEP if aside & _ELDERLY else 0)
            reasons[row, product] |= bits
