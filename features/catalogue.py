"""The product catalogue: what the bank sells, to whom and when. A product's position is its rank by product id."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contracts import KINDS
from .errors import NotFound

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Product:
    """One product, as the contract's ``products`` table describes it. Dates are ISO strings, amounts in the
    bank's currency, ages in years."""

    product_id: str
    name: str
    name_zh: str | None
    family: str
    customer_kind: str
    risk_rating: str | None
    issuer_risk_rating: str | None
    on_sale_from: str | None
    on_sale_to: str | None
    annual_margin: float | None
    contact_minutes: float | None
    min_age: float | None
    max_age: float | None
    min_tier: str | None
    min_balance: float | None
    requires: tuple[str, ...]
    excludes: tuple[str, ...]
    repeatable: bool


@dataclass(frozen=True)
class Catalogue:
    """All products, ordered by product id."""

    products: tuple[Product, ...]

    @classmethod
    def from_tables(cls, connection: duckdb.DuckDBPyConnection) -> Catalogue:
        """Read the typed ``products`` view."""
        result = connection.execute("SELECT * FROM products ORDER BY product_id")
        names = [column[0] for column in result.description]
        return cls(tuple(_product(dict(zip(names, row, strict=True))) for row in result.fetchall()))

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        """Read what `save` wrote."""
        return cls(tuple(_product(row) for row in json.loads(path.read_text(encoding="utf-8"))))

    def save(self, path: Path) -> None:
        """Write the products as JSON."""
        rows = [asdict(product) for product in self.products]
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")

    def __len__(self) -> int:
        return len(self.products)

    @cached_property
    def product_ids(self) -> tuple[str, ...]:
        """Ids in order of position."""
        return tuple(product.product_id for product in self.products)

    @property
    def families(self) -> tuple[str, ...]:
        """The distinct families, sorted."""
        return tuple(sorted({product.family for product in self.products}))

    def position_of(self, product_id: str) -> int:
        """The column that `product_id` has in every customer-product array."""
        if product_id not in self.product_ids:
            raise NotFound(
                f"product {product_id!r} is not in the catalogue; it has: {', '.join(self.product_ids[:30])}"
                + (" ..." if len(self) > 30 else "")
            )
        return self.product_ids.index(product_id)

    def on_sale(self, day: date) -> NDArray[np.bool_]:
        """Shape (n_products,): sold on `day`, both ends of the sales window included."""
        iso = day.isoformat()
        return np.array(
            [(p.on_sale_from or iso) <= iso <= (p.on_sale_to or iso) for p in self.products], dtype=np.bool_
        )

    def for_kind(self) -> NDArray[np.bool_]:
        """Shape (len(KINDS), n_products): sold to customers of that kind."""
        return np.array(
            [[product.customer_kind in (kind, "both") for product in self.products] for kind in KINDS], dtype=np.bool_
        )

    def sold_on(self, day: date) -> NDArray[np.bool_]:
        """Shape (len(KINDS) + 1, n_products): on sale on `day` to customers of each kind; the last: to any kind."""
        return np.vstack([self.for_kind(), np.ones((1, len(self)), dtype=np.bool_)]) & self.on_sale(day)


def _product(row: dict[str, Any]) -> Product:
    values = {name: _plain(row.get(name)) for name in Product.__dataclass_fields__}
    values["requires"] = tuple(row.get("requires") or ())
    values["excludes"] = tuple(row.get("excludes") or ())
    values["repeatable"] = bool(row.get("repeatable"))
    return Product(**values)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
