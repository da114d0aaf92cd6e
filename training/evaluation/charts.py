"""Where things stand in the page's drawings: axes, whiskers, panels of points, lines; positions in SVG's own units.

Drawn by hand and not by a plotting library: the page's styles then hold in the drawings too, in light and in dark, and
their text stays text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .intervals import BootstrapInterval
from .probabilities import ProductReliability, ReliabilityBin

_WIDTH_OF_95 = 1.96  # standard deviations


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` to positions from 0 to `length`.

    Attributes
    ----------
    is_root : by the square root, from 0, so that small shares can be told apart
    is_share : labels are in percent
    """

    low: float
    high: float
    length: float
    is_root: bool = False
    is_share: bool = False

    @classmethod
    def around(
        cls, values: Iterable[float], length: float, *, include: Sequence[float] = (), is_share: bool = False
    ) -> Axis:
        """An axis that holds all finite `values`, and those to `include`, with a little room."""
        found = [value for value in (*values, *include) if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(found), max(found)
        room = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
        return cls(low if low in include else low - room, high + room, length, is_share=is_share)

    def at(self, value: float) -> float:
        """The position of `value`; what lies outside stands at the end."""
        value = min(max(value, self.low), self.high)
        if self.is_root:
            share = math.sqrt(max(value - self.low, 0.0) / (self.high - self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(share * self.length, 1)

    def ticks(self, wanted: int = 4) -> tuple[Tick, ...]:
        """About `wanted` round values within the axis."""
        if self.is_root:
            # seen at about equal distances
            top = _rounded(self.high)
            return tuple(
                Tick(self.at(value), f"{value:.2g}" if not self.is_share else f"{100 * value:.2g}%")
                for value in (0.0, _rounded(top * 0.1), _rounded(top * 0.4), top)
            )
        step = _step((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        values = [step * number for number in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return tuple(Tick(self.at(value), self._label(value, values)) for value in values)

    def _label(self, value: float, among: Sequence[float]) -> str:
        scale = 100.0 if self.is_share else 1.0
        gaps = [abs(b - a) * scale for a, b in pairwise(among) if b != a] or [1.0]
        decimals = max(0, -math.floor(math.log10(min(gaps)) + 1e-9))
        return f"{value * scale + 0.0:.{decimals}f}{'%' if self.is_share else ''}"


@dataclass(frozen=True)
class Whisker:
    """A value and the ends of its interval on an axis; `style` names what it stands for."""

    at: float
    low: float
    high: float
    style: str
    title: str

    @classmethod
    def of(cls, found: BootstrapInterval, axis: Axis, style: str, title: str) -> Whisker | None:
        """None where the value is undefined; without ends where the interval is."""
        if math.isnan(found.value):
            return None
        low, high = (found.value if math.isnan(end) else end for end in (found.low, found.high))
        return cls(axis.at(found.value), axis.at(low), axis.at(high), style, title)


@dataclass(frozen=True)
class Point:
    """A point with a vertical whisker."""

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class Panel:
    """A square in which what was said meets what came true.

    Attributes
    ----------
    size : of both sides
    candidates, selected : points of all candidates, and of those selected
    """

    size: float
    ticks: tuple[Tick, ...]
    candidates: tuple[Point, ...]
    selected: tuple[Point, ...]


def reliability_panel(found: ProductReliability, size: float) -> Panel:
    """Bins of a product on axes of equal, square-rooted scale."""
    bins = (*found.candidates, *found.selected)
    top = max([max(each.expected, each.realised) for each in bins], default=0.0) or 0.01
    axis = Axis(0.0, top * 1.1, size, is_root=True, is_share=True)
    return Panel(
        size,
        axis.ticks(),
        tuple(_point(each, axis) for each in found.candidates),
        tuple(_point(each, axis) for each in found.selected),
    )


def _point(found: ReliabilityBin, axis: Axis) -> Point:
    low, high = wilson(found.realised, found.candidates)
    size = axis.length
    return Point(
        axis.at(found.expected),
        round(size - axis.at(found.realised), 1),
        round(size - axis.at(low), 1),
        round(size - axis.at(high), 1),
        f"{found.candidates:,} candidates: {found.expected:.2%} expected, {found.realised:.2%} acquired",
    )


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share among `n` (Wilson 1927)."""
    z2 = _WIDTH_OF_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _WIDTH_OF_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


@dataclass(frozen=True)
class Series:
    """Points joined by a line."""

    name: str
    style: str
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """For an SVG polyline."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)


@dataclass(frozen=True)
class LineChart:
    """Series over the same places."""

    width: float
    height: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]


def line_chart(
    places: Sequence[float],
    labels: Sequence[str],
    lines: Sequence[tuple[str, str, Sequence[BootstrapInterval]]],
    *,
    width: float = 560.0,
    height: float = 180.0,
) -> LineChart:
    """Lines (name, style, a value and interval at each place) over `places` from 0 to 1."""
    values = [end for _, _, found in lines for each in found for end in (each.value, each.low, each.high)]
    axis = Axis.around(values, height)

    def point(place: float, label: str, name: str, found: BootstrapInterval) -> Point:
        low, high = (found.value if math.isnan(end) else end for end in (found.low, found.high))
        value, low, high = (round(height - axis.at(each), 1) for each in (found.value, low, high))
        title = f"{name}, {label}: {found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
        return Point(round(place * width, 1), value, low, high, title)

    series = tuple(
        Series(name, style, tuple(map(point, places, labels, [name] * len(places), found)))
        for name, style, found in lines
    )
    return LineChart(
        width,
        height,
        tuple(Tick(round(place * width, 1), label) for place, label in zip(places, labels, strict=True)),
        tuple(Tick(round(height - tick.at, 1), tick.label) for tick in axis.ticks()),
        series,
    )


def _step(rough: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten, from above."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _rounded(value: float) -> float:
    """To one significant digit, downwards."""
    power = 10.0 ** math.floor(math.log10(value))
    return math.floor(value / power) * power
