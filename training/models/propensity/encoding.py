"""From features to the columns of a linear model: steps, logarithms, flags. What is missing has a column of its own.

A feature's dtype says what may be done with it. A code becomes one column a category; an age in periods says how fresh
it is; any other number becomes its logarithm, standardised, and steps at quantiles, so that a line bends where the data
do. Every value of a row is computed from that row alone, in loops of a fixed order, so one customer is encoded to the
same bits alone as in a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.kernels import kernel

MISSING, VALUE, EQUALS, ABOVE, LOGARITHM, FRESHNESS = range(6)
"""What a column says of its feature x: 1 where missing; x; 1 where x is a; 1 where above a; the standardised
logarithm; exp(-x / a)."""

_STEPS = 5
_MAX_CATEGORIES = 50
_HALF_LIFE = 2.0  # periods in which freshness falls to 1/e
_FRESH_PERIODS = (0.0, 2.0)
_LARGEST = 1e300
_ROOT_HALF = 0.7071067811865476
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_FRACTION, _HALF = 0x000FFFFFFFFFFFFF, 0x3FE0000000000000  # of a float64: its fraction's bits; the exponent of 0.5
_FAR = 3.0  # standard deviations beyond which a logarithm says no more
_STEP_SIZE = np.float32(0.7)  # steps overlap: smaller ones share the penalty of one whole column
_RECENT_SIZE = np.float32(2.0)  # freshness is rarely above 0: the size makes its penalty that of a flag

PERIODS, CODE, FLAG = "periods", "code", "flag"


@dataclass(frozen=True)
class Encoding:
    """Columns, each made of one feature.

    Attributes
    ----------
    features : int32, shape (n_columns,); which feature a column is made of
    transforms : int32, same shape; one of the constants of this module
    parameters : float32, shape (n_columns, 2); what the transform needs
    """

    features: NDArray[np.int32]
    transforms: NDArray[np.int32]
    parameters: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.float32], dtypes: tuple[str, ...]) -> Encoding:
        """The columns that tell the rows of `values`, shape (n_rows, n_features), apart."""
        columns: list[tuple[int, int, float, float]] = []
        for feature, dtype in enumerate(dtypes):
            columns += [(feature, *column) for column in _columns_of(values[:, feature], dtype)]
        found = np.array(columns, dtype=np.float64).reshape(-1, 4)
        return cls(
            found[:, 0].astype(np.int32), found[:, 1].astype(np.int32), np.ascontiguousarray(found[:, 2:], np.float32)
        )

    def encode(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (n_rows, n_columns)."""
        out = np.empty((len(values), len(self.features)), dtype=np.float32)
        _encode(np.ascontiguousarray(values), self.features, self.transforms, self.parameters, out)
        return out

    def take(self, columns: NDArray[np.int64]) -> Encoding:
        """Only `columns`."""
        return Encoding(self.features[columns], self.transforms[columns], self.parameters[columns])


def _columns_of(values: NDArray[np.float32], dtype: str) -> list[tuple[int, float, float]]:
    missing = np.isnan(values)
    known = values[~missing]
    if not len(known):
        return []
    levels = np.unique(known)
    absent = [(MISSING, 0.0, 0.0)] if missing.any() else []
    if dtype == CODE and len(levels) <= _MAX_CATEGORIES:
        return [(EQUALS, float(level), 0.0) for level in levels] if len(levels) > 1 or absent else []
    if len(levels) == 1:
        return absent
    if dtype == FLAG:
        return [(VALUE, 0.0, 0.0), *absent]
    if dtype == PERIODS:
        fresh = [(FRESHNESS, _HALF_LIFE, 0.0)]
        fresh += [(ABOVE, limit, 0.0) for limit in _FRESH_PERIODS if levels[0] <= limit < levels[-1]]
        return [*fresh, *absent]
    logarithms = np.sign(known).astype(np.float64) * np.log(1.0 + np.abs(known, dtype=np.float64))
    spread = float(logarithms.std())
    smooth = [(LOGARITHM, float(logarithms.mean()), spread)] if spread > 0 else []
    quantiles = np.unique(np.quantile(known, np.arange(1, _STEPS + 1) / (_STEPS + 1), method="lower"))
    return [*smooth, *((ABOVE, float(q), 0.0) for q in quantiles if q < levels[-1]), *absent]


@kernel(inline="always")
def _log(mantissa, exponent):  # type: ignore[no-untyped-def]
    """Natural logarithm of ``mantissa * 2**exponent``, the mantissa in [0.5, 1); within one unit of the last place.

    The arithmetic of FreeBSD's e_log.c, without branches: a processor takes several numbers at a time, and each comes
    out as it does alone, which is more than NumPy's vectorised logarithm promises.
    """
    small = mantissa < _ROOT_HALF
    f = (2.0 * mantissa if small else mantissa) - 1.0
    k = exponent - 1.0 if small else exponent
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = z * (
        0.6666666666666735130 + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591))
    )
    even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + even + odd) + k * _LN2_LOW)) - f)


@kernel(inline="always")
def encoded(x, transform, a, b):  # type: ignore[no-untyped-def]
    """One value of one column. What is missing is 0 but in its own column."""
    if x != x:
        return np.float32(1.0) if transform == MISSING else np.float32(0.0)
    if transform == VALUE:
        return x
    if transform == EQUALS:
        return np.float32(1.0) if x == a else np.float32(0.0)
    if transform == ABOVE:
        return _STEP_SIZE if x > a else np.float32(0.0)
    if transform == FRESHNESS:
        return _RECENT_SIZE * np.float32(np.exp(-np.float64(max(x, np.float32(0.0))) / a))
    if transform == LOGARITHM:
        mantissa, exponent = math.frexp(min(1.0 + np.abs(np.float64(x)), _LARGEST))
        size = _log(mantissa, np.float64(exponent))
        place = ((size if x > 0 else -size) - a) / b
        return np.float32(min(max(place, -_FAR), _FAR))
    return np.float32(0.0)


@kernel(inline="always")
def encode_tile(x, transform, a, b, exponents, z):  # type: ignore[no-untyped-def]
    """`encoded` of one column for many rows, `x` float32 into `z` float64, in loops without branches.

    `exponents` : float64, as long as the others, to work with.
    """
    if transform == MISSING:
        for row in range(len(x)):
            z[row] = 1.0 if x[row] != x[row] else 0.0
    elif transform == EQUALS:
        for row in range(len(x)):
            z[row] = 1.0 if x[row] == a else 0.0
    elif transform == ABOVE:
        for row in range(len(x)):
            z[row] = _STEP_SIZE if x[row] > a else np.float32(0.0)
    elif transform == LOGARITHM:
        for row in range(len(x)):
            z[row] = min(1.0 + np.abs(np.float64(x[row])), _LARGEST)
        bits = z.view(np.int64)
        for row in range(len(x)):
            exponents[row] = np.float64((bits[row] >> 52) - 1022)
            bits[row] = (bits[row] & _FRACTION) | _HALF
        for row in range(len(x)):
            size = _log(z[row], exponents[row])
            place = ((size if x[row] > 0 else -size) - a) / b
            clipped = np.float32(min(max(place, -_FAR), _FAR))
            z[row] = clipped if x[row] == x[row] else np.float32(0.0)
    else:
        for row in range(len(x)):
            z[row] = encoded(x[row], transform, a, b)


@kernel
def _encode(values, features, transforms, parameters, out):  # type: ignore[no-untyped-def]
    for row in range(len(values)):
        for column in range(len(features)):
            out[row, column] = encoded(
                values[row, features[column]], transforms[column], parameters[column, 0], parameters[column, 1]
            )
