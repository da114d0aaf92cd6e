"""A synthetic bank's tables as a pandas user reads them, and what happened according to them."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from features.calendar import Calendar

CALENDAR = Calendar()
TABLE_NAMES = ["accounts", "activity", "balances", "complaints", "consents", "contacts", "customers", "payments"]


def days(column):
    return column.to_numpy().astype("datetime64[D]")


@dataclass(frozen=True)
class Panel:
    """Arrays are (n customers, P products), both ascending by id, like those of `Truth`."""

    tables: dict[str, pd.DataFrame]

    @classmethod
    def read(cls, folder: Path):
        with duckdb.connect() as connection:
            tables = {
                name: connection.execute(f"SELECT * FROM read_parquet('{folder}/{name}/*.parquet')").df()
                for name in TABLE_NAMES
            }
            tables["products"] = connection.execute(f"SELECT * FROM '{folder}/products.parquet'").df()
        return cls(tables)

    def __getattr__(self, name):
        if name in self.__dict__.get("tables", {}):
            return self.tables[name]
        raise AttributeError(name)

    @cached_property
    def customer_ids(self):
        return np.unique(self.customers.customer_id.to_numpy(dtype=str))

    @cached_property
    def product_ids(self):
        return np.sort(self.products.product_id.to_numpy(dtype=str))

    @cached_property
    def onboarded(self):
        return days(self.customers.groupby("customer_id").onboarded_on.first().sort_index())

    @cached_property
    def is_retail(self):
        return self.customers.groupby("customer_id").kind.first().sort_index().to_numpy() == "retail"

    @cached_property
    def product_is_retail(self):
        return self.products.sort_values("product_id").customer_kind.to_numpy() == "retail"

    def rows(self, table):
        """Positions of the table's customers and products."""
        return (
            np.searchsorted(self.customer_ids, table.customer_id.to_numpy(dtype=str)),
            np.searchsorted(self.product_ids, table.product_id.to_numpy(dtype=str)),
        )

    def held(self, period):
        """Held at the end of `period`, whether the bank knew it or not."""
        end = np.datetime64(CALENDAR.end_of(period))
        opened, closed = days(self.accounts.opened_on), days(self.accounts.closed_on)
        return self._mark(self.accounts[(opened <= end) & (np.isnat(closed) | (closed > end))])

    def acquired(self, period):
        """Not held at the end of `period`, opened in the month after, by somebody who was a customer by then."""
        end, later = (np.datetime64(CALENDAR.end_of(p)) for p in (period, period + 1))
        opened = days(self.accounts.opened_on)
        acquired = self._mark(self.accounts[(opened > end) & (opened <= later)]) & ~self.held(period)
        return acquired & (self.onboarded <= end)[:, None]

    def candidates(self, period):
        """Not held, on sale, for this kind of customer, who is one."""
        end = np.datetime64(CALENDAR.end_of(period))
        products = self.products.sort_values("product_id")
        start, stop = days(products.on_sale_from), days(products.on_sale_to)
        on_sale = (np.isnat(start) | (start <= end)) & (np.isnat(stop) | (stop > end))
        fits = self.is_retail[:, None] == self.product_is_retail[None, :]
        return ~self.held(period) & on_sale & fits & (self.onboarded <= end)[:, None]

    def contacts_of(self, period):
        """The contacts of the month `period`."""
        return self.contacts[CALENDAR.periods_of(days(self.contacts.contacted_on)) == period]

    def contacted(self, period):
        """Who was contacted about what in the month `period`; held-out customers are not."""
        contacts = self.contacts_of(period)
        return self._mark(contacts[contacts.arm == "treated"])

    def _mark(self, table):
        marked = np.zeros((len(self.customer_ids), len(self.product_ids)), dtype=bool)
        marked[self.rows(table)] = True
        return marked


def average_precision_at(k, scores, relevant):
    """Shape (n,): average precision at k, divided by min(k, relevant); ties go to the lower column."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return (precision * hits).sum(axis=1) / np.minimum(relevant.sum(axis=1), k)


def last_day_of(bank):
    return np.datetime64(CALENDAR.end_of(CALENDAR.period_of(date.fromisoformat(bank.last_month + "-01"))))
