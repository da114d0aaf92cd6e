"""Packs bank tables into the files of customer states: one query after another, each result as an array."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from ..calendar import HISTORY_BITS, Calendar
from ..catalogue import Catalogue
from ..checks.checking import MAX_ATTRIBUTE_TEXTS
from ..contracts import CONTACTS, CUSTOMERS, KIND, KINDS, RISK_LEVEL, RISK_LEVELS, VALID_FROM, Type
from ..errors import BadInput
from ..sources import BankTables
from ..sources.inbox import CONVERSATION
from ..sql import queries
from ..states import FORMAT, MANIFEST, Manifest
from ..states.arrays import row_pointers
from ..states.events import NEVER, NO_CONVERSATION, EventLog, conversation_number
from ..states.history import HoldingsHistory
from ..states.occasions import Occasions
from ..states.panels import Panel
from ..states.partners import PartnerHistory
from ..states.profile import MISSING_CODE, MISSING_DAY, Profile
from ..states.segments import adoption_by_segment


class Packer:
    """Runs the queries of one build and writes their arrays into a folder."""

    def __init__(
        self,
        tables: BankTables,
        calendar: Calendar,
        as_of_period: int,
        history_periods: int,
        folder: Path,
        step: Callable[[], None],
    ) -> None:
        self.tables = tables
        self.connection: duckdb.DuckDBPyConnection = tables.connection
        self.calendar = calendar
        self.as_of_period = as_of_period
        self.as_of = calendar.end_of(as_of_period).isoformat()
        self.history_periods = history_periods
        self.folder = folder
        self.step = step
        self.n_customers = 0

    def pack(self, build_id: str, fingerprints: dict[str, str], mapping: Path | None, known_to: str) -> None:
        """Write everything; the manifest comes last, so its presence says that the build is complete."""
        catalogue = Catalogue.from_tables(self.connection)
        catalogue.save(self.folder / "catalogue.json")
        self.connection.execute(queries.CUSTOMER_INDEX)
        self.connection.execute(queries.PRODUCT_INDEX)
        self._pack_customer_ids()
        profile = self._pack_profile()
        self.step()
        history, first_period, n_accounts = self._pack_history(len(catalogue))
        self.step()
        depth = self._depth(first_period)
        key_names = self._pack_panels(catalogue, depth)
        self._pack_partners()
        self.step()
        self._pack_events()
        self._pack_occasions(len(catalogue))
        self.step()
        (dated,) = self.connection.execute(queries.IS_DATED).fetchone() or (False,)
        manifest = Manifest(
            format=FORMAT,
            build_id=build_id,
            frequency=self.calendar.frequency.value,
            as_of=self.as_of,
            known_to=known_to,
            dated=bool(dated),
            first_period=first_period,
            depth=depth,
            n_customers=self.n_customers,
            n_accounts=n_accounts,
            tables=str(self.tables.source.resolve()),
            mapping=str(mapping.resolve()) if mapping else None,
            fingerprints=fingerprints,
        )
        holding_share, acquisition_rate = adoption_by_segment(profile, history, self.calendar, depth)
        np.save(self.folder / "holding_share.npy", holding_share)
        np.save(self.folder / "acquisition_rate.npy", acquisition_rate)
        self.step()
        content = asdict(manifest) | {"key_names": key_names}
        (self.folder / MANIFEST).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    def _arrays(self, sql: str) -> dict[str, NDArray]:
        """The columns of a query without NULLs."""
        return {name: np.asarray(column) for name, column in self.connection.execute(sql).fetchnumpy().items()}

    def _words(self, vocabulary: str, name: str, number: Callable[[str], int] | None = None) -> tuple[str, ...]:
        """Number the texts that the query `vocabulary` gives, in a table ``{name}_words`` (word, code).

        Parameters
        ----------
        number : the code of a text; by default its place among them
        """
        rows = self.connection.execute(vocabulary).fetchall()
        words = tuple(str(word) for (word,) in rows)
        codes = list(range(len(words))) if number is None else [number(word) for word in words]
        self.connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}_words" (word VARCHAR, code BIGINT)')
        if words:
            self.connection.execute(
                f'INSERT INTO "{name}_words" SELECT unnest(?::VARCHAR[]), unnest(?::BIGINT[])', [list(words), codes]
            )
        return words

    def _pack_customer_ids(self) -> None:
        ids = self.connection.execute(queries.CUSTOMER_IDS).fetchnumpy()["customer_id"]
        self.n_customers = len(ids)
        encoded = np.array([str(identifier).encode() for identifier in ids], dtype=np.bytes_)
        np.save(self.folder / "customer_ids.npy", encoded)

    def _pack_profile(self) -> Profile:
        columns: list[str] = []
        joins: list[str] = []
        roles: dict[str, list[str]] = {"numbers": [], "codes": [], "days": []}
        vocabularies: dict[str, tuple[str, ...]] = {}

        def add_text(name: str, limit: int | None = None) -> None:
            alias = f"w{len(joins)}"
            words = self._words(queries.profile_vocabulary(name, self.as_of), f"profile_{len(joins)}")
            if limit is not None and len(words) > limit:
                return
            joins.append(f'LEFT JOIN "profile_{len(joins)}_words" {alias} ON {alias}.word = c."{name}"')
            columns.append(f'CAST(coalesce({alias}.code, {MISSING_CODE}) AS INTEGER) AS "{name}"')
            roles["codes"].append(name)
            vocabularies[name] = words

        def add_number(name: str, sql: str) -> None:
            columns.append(f"CAST(coalesce({sql}, 'nan') AS FLOAT) AS \"{name}\"")
            roles["numbers"].append(name)

        for column in CUSTOMERS.columns:
            name = column.name
            if name == KIND:
                cases = " ".join(f"WHEN '{kind}' THEN {code}" for code, kind in enumerate(KINDS))
                columns.append(f"CAST(CASE c.kind {cases} ELSE {MISSING_CODE} END AS INTEGER) AS kind")
                roles["codes"].append(KIND)
                vocabularies[KIND] = KINDS
            elif name == RISK_LEVEL:
                cases = " ".join(f"WHEN '{level}' THEN {rank}" for rank, level in enumerate(RISK_LEVELS, start=1))
                add_number(name, f"CAST(CASE c.risk_level {cases} END AS FLOAT)")
            elif column.type is Type.DATE and name != VALID_FROM:
                day = queries.days_since_epoch(f"c.{name}")
                columns.append(f"CAST(coalesce({day}, {MISSING_DAY}) AS INTEGER) AS {name}")
                roles["days"].append(name)
            elif column.type is Type.NUMBER:
                add_number(name, f"c.{name}")
            elif column.type is Type.TEXT or name in ("branch_id", "rm_id"):
                add_text(name)
        for attribute in self.tables.attributes:
            if attribute.is_number:
                add_number(attribute.name, f'c."{attribute.name}"')
            else:
                add_text(attribute.name, limit=MAX_ATTRIBUTE_TEXTS)
        arrays = self._arrays(queries.profile(self.calendar, columns, joins, self.as_of))
        if not len(arrays["customer"]):
            raise BadInput(f"no customer was known on {self.as_of}: valid_from of customers is later everywhere")
        profile = Profile(
            indptr=row_pointers(arrays["customer"], self.n_customers),
            valid_from=arrays["valid_from"].astype(np.int32),
            numbers={name: arrays[name] for name in roles["numbers"]},
            codes={name: arrays[name] for name in roles["codes"]},
            days={name: arrays[name] for name in roles["days"]},
            vocabularies=vocabularies,
        )
        profile.save(self.folder / "profile")
        return profile

    def _pack_history(self, n_products: int) -> tuple[HoldingsHistory, int, int]:
        rows = self._arrays(queries.accounts(self.calendar, self.as_of_period, self.as_of))
        history = HoldingsHistory.from_accounts(
            n_customers=self.n_customers,
            n_products=n_products,
            as_of_period=self.as_of_period,
            customers=rows["customer"],
            products=rows["product"],
            opened_ages=rows["opened_age"],
            closed_ages=rows["closed_age"],
            opened_days=rows["opened_day"],
            recorded_periods=rows["recorded_period"],
        )
        history.save(self.folder / "history")
        oldest = min(int(rows["opened_age"].max(initial=0)), HISTORY_BITS - 1)
        return history, self.as_of_period - oldest, len(rows["customer"])

    def _depth(self, first_period: int) -> int:
        """Periods to keep: as far back as anything goes, so that no account recorded late brings older amounts in."""
        (oldest,) = self.connection.execute(queries.oldest_periodic_fact(self.as_of)).fetchone() or (None,)
        if oldest is not None:
            first_period = min(first_period, self.calendar.period_of(oldest))
        return min(self.history_periods, max(self.as_of_period - first_period + 1, 2))

    def _pack_panels(self, catalogue: Catalogue, depth: int) -> dict[str, tuple[str, ...]]:
        channels = self._words(queries.vocabulary("activity", "channel"), "channel")
        period = self.as_of_period
        sources = {
            "balances": (queries.balances(self.calendar, period, depth), catalogue.product_ids),
            "activity": (queries.activity(self.calendar, period, depth), channels),
            "flows": (queries.flows(self.calendar, period, depth), queries.FLOW_KEYS),
            "payments": (queries.payments(self.calendar, period, depth), queries.PAYMENT_KEYS),
        }
        for name, (sql, keys) in sources.items():
            rows = self._arrays(sql)
            panel = Panel.from_rows(
                key_names=keys,
                n_customers=self.n_customers,
                depth=depth,
                customers=rows["customer"],
                keys=rows["key"],
                ages=rows["age"],
                values=rows["value"],
            )
            panel.save(self.folder / name)
            self.step()
        return {name: keys for name, (_, keys) in sources.items()}

    def _pack_partners(self) -> None:
        rows = self._arrays(queries.partners(self.calendar, self.as_of_period, HISTORY_BITS))
        partners = PartnerHistory.from_rows(self.n_customers, rows["customer"], rows["partner"], rows["age"])
        partners.save(self.folder / "partners")

    def _pack_events(self) -> None:
        words = {
            name: self._words(queries.vocabulary(table, column), name)
            for name, table, column in (
                ("contact_channel", "contacts", "channel"),
                ("campaign", "contacts", "campaign_id"),
                ("outcome", "contacts", "outcome"),
                ("purpose", "consents", "purpose"),
                ("consent_channel", "consents", "channel"),
                ("severity", "complaints", "severity"),
            )
        }
        self._words(queries.vocabulary(f"inbox_{CONTACTS.name}", CONVERSATION), CONVERSATION, conversation_number)
        product_ids = tuple(
            row[0]
            for row in self.connection.execute("SELECT product_id FROM product_index ORDER BY product").fetchall()
        )
        logs = {
            "contacts": (
                queries.contacts(self.as_of, NEVER),
                {
                    "channel": words["contact_channel"],
                    "campaign": words["campaign"],
                    "outcome": words["outcome"],
                    "product": product_ids,
                },
            ),
            "consents": (
                queries.consents(self.as_of),
                {"purpose": words["purpose"], "channel": words["consent_channel"]},
            ),
            "complaints": (queries.complaints(self.as_of, NEVER), {"severity": words["severity"]}),
            "maturities": (queries.maturities(self.as_of, NEVER, self._oldest_maturity()), {"product": product_ids}),
        }
        for name, (sql, vocabularies) in logs.items():
            rows = self._arrays(sql)
            indptr = row_pointers(rows.pop("customer"), self.n_customers)
            if name == CONTACTS.name and not np.any(rows[CONVERSATION] != NO_CONVERSATION):
                del rows[CONVERSATION]
            EventLog(indptr, rows, vocabularies).save(self.folder / name)

    def _oldest_maturity(self) -> str:
        """The first day of the periods kept.

        Counted by the setting, not by the depth that the tables fill: an account recorded late deepens it and would
        bring in maturities that an earlier build had left out.
        """
        return self.calendar.start_of(self.as_of_period - self.history_periods + 1).isoformat()

    def _pack_occasions(self, n_products: int) -> None:
        rows = self._arrays(queries.OCCASIONS)
        _, first, occasion = np.unique(rows["occasion_id"].astype(np.str_), return_index=True, return_inverse=True)
        buyable = np.zeros((len(first), n_products), dtype=np.bool_)
        bought = np.zeros_like(buyable)
        buyable[occasion, rows["product"]] = rows["buyable"]
        bought[occasion, rows["product"]] = rows["bought"]
        in_time = np.argsort(first, kind="stable")
        days = rows["at"][first].astype("datetime64[D]").astype(np.int64).astype(np.int32)
        Occasions(
            rows["customer"][first][in_time].astype(np.int64), days[in_time], buyable[in_time], bought[in_time]
        ).save(self.folder / "occasions")
