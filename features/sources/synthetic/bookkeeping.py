"""What the bank wrote down of a block's life: the rows of its tables, with their gaps and delays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...contracts import PURPOSES
from .bank import RETAIL, first_day, last_day
from .catalogue import TIERS, Money
from .contacting import CONTACT_CHANNELS, NO_CAMPAIGN, NO_DAY, NO_OUTCOME, OUTCOMES, Contacts
from .life import BlockSimulation, Month
from .network import Payments
from .population import INDUSTRIES, OCCUPATIONS, PREFERENCES, REGIONS, STAGES
from .state import CHANNELS
from .tables import Labels, TableParts, dates, numbers

_SEVERITIES = ("low", "medium", "high")
_LATE_ACCOUNTS, _LATE_CONTACTS, _LATE_COMPLAINTS, _LATE_CONSENTS = 0.025, 0.04, 0.06, 0.02


class BlockRecords:
    """Turns a block's simulation into rows. What comes to light after the last day is recorded on the last day."""

    def __init__(self, simulation: BlockSimulation, parts: TableParts) -> None:
        self._simulation, self._parts = simulation, parts
        self._last = last_day(simulation.bank.last_period)
        self._ids = simulation.population.customer_ids
        self._customers = Labels(self._ids)
        self._products = Labels(simulation.catalogue.product_ids)
        # delays and gaps in the records have a source of chance of their own: they change nobody's life
        self._rng = simulation.bank.random_of(simulation.plan).spawn(1)[0]

    def add_month(self, month: Month) -> None:
        """Write balances, activity, payments, contacts and complaints of a month."""
        self._add_balances(month)
        self._add_activity(month)
        if month.payments is not None:
            self._add_payments(month.payments, month.period)
        if month.contacts is not None:
            self._add_contacts(month.contacts, month.period)
        self._add_complaints(month)

    def finish(self) -> None:
        """Write customers, accounts and consents."""
        self._add_customers()
        self._add_accounts()
        self._add_consents()

    def _recorded(self, days: NDArray, share: float, shortest: int, longest: int) -> pa.Array:
        late = self._rng.random(len(days)) < share
        delay = self._rng.integers(shortest, longest + 1, len(days))
        return dates(np.minimum(days + late * delay, self._last))

    def _add_balances(self, month: Month) -> None:
        state, catalogue = self._simulation.state, self._simulation.catalogue
        with_balance = np.array([product.money is not Money.NONE for product in catalogue.products])
        customers, products = np.nonzero(state.held & with_balance)
        closing = state.amount[customers, products].astype(np.float64)
        opened_on = month.opened_on[customers, products]
        first, last = first_day(month.period), last_day(month.period)
        demand = products == catalogue.positions_of(Money.DEMAND)[0]
        share = np.where((opened_on > 0) & ~demand, (last - opened_on + 1) / (last - first + 1), 1.0)
        wobble = np.where(demand, np.exp(0.15 * self._rng.standard_normal(len(customers))), 1.0)
        self._parts.add(
            "balances",
            {
                "customer_id": self._customers.at(customers),
                "product_id": self._products.at(products),
                "period": dates(np.full(len(customers), first)),
                "average_balance": numbers(np.rint(closing * share)),
                "closing_balance": numbers(np.rint(closing * wobble)),
            },
        )

    def _add_activity(self, month: Month) -> None:
        state = self._simulation.state
        customers, channels = np.nonzero(state.counts)
        count = state.counts[customers, channels]
        share = count / state.counts.sum(axis=1)[customers]
        self._parts.add(
            "activity",
            {
                "customer_id": self._customers.at(customers),
                "period": dates(np.full(len(customers), first_day(month.period))),
                "channel": Labels(CHANNELS).at(channels),
                "count": pa.array(count),
                "inflow": numbers(np.rint(state.inflow[customers] * share)),
                "outflow": numbers(np.rint(state.outflow[customers] * share)),
            },
        )

    def _add_payments(self, payments: Payments, period: int) -> None:
        self._parts.add(
            "payments",
            {
                "payer_id": self._customers.at(payments.payer),
                "payee_id": self._customers.at(payments.payee),
                "period": dates(np.full(len(payments.payer), first_day(period))),
                "count": pa.array(payments.count),
                "amount": numbers(payments.amount),
            },
        )

    def _add_contacts(self, contacts: Contacts, period: int) -> None:
        month = f"{period // 12:04d}{period % 12 + 1:02d}"
        letter = self._ids[0][0]
        campaigns = Labels([f"CMP-{letter}-{month}-{number + 1}" for number in range(9)])
        own = contacts.campaign == NO_CAMPAIGN
        silent = contacts.outcome == NO_OUTCOME
        self._parts.add(
            "contacts",
            {
                "contact_id": pa.array(np.char.add(self._ids[contacts.customer], f"-K{month}")),
                "customer_id": self._customers.at(contacts.customer),
                "product_id": self._products.at(contacts.product),
                "channel": Labels(CONTACT_CHANNELS).at(contacts.channel),
                "contacted_on": dates(contacts.day),
                "campaign_id": campaigns.at(contacts.campaign, own),
                "arm": Labels(("control", "treated")).at(contacts.treated),
                "propensity_of_arm": numbers(contacts.propensity, own),
                "outcome": Labels(OUTCOMES).at(np.maximum(contacts.outcome, 0), silent),
                "outcome_on": dates(contacts.outcome_day, silent),
                "recorded_on": self._recorded(contacts.day, _LATE_CONTACTS, 3, 40),
            },
        )

    def _add_complaints(self, month: Month) -> None:
        customers = np.flatnonzero(month.complained_on)
        days = month.complained_on[customers].astype(np.int64)
        resolved = days + self._rng.integers(1, 46, len(days))
        suffix = f"-Q{month.period // 12:04d}{month.period % 12 + 1:02d}"
        severity = self._rng.choice(len(_SEVERITIES), len(days), p=(0.55, 0.33, 0.12))
        self._parts.add(
            "complaints",
            {
                "complaint_id": pa.array(np.char.add(self._ids[customers], suffix)),
                "customer_id": self._customers.at(customers),
                "opened_on": dates(days),
                "resolved_on": dates(resolved, resolved > self._last),
                "severity": Labels(_SEVERITIES).at(severity),
                "recorded_on": self._recorded(days, _LATE_COMPLAINTS, 3, 30),
            },
        )

    def _add_customers(self) -> None:
        population, versions = self._simulation.population, self._simulation.versions
        who, missing = versions.customer, population.missing
        is_retail = population.is_retail
        no_level = (versions.risk == 0) | missing.risk[who]
        no_rm = (versions.tier == 0) & is_retail
        n_rms = int(population.rm.max()) + 1
        rm_ids = Labels([f"RM-{branch}-{number + 1}" for branch in population.branch_ids for number in range(n_rms)])
        born = dates(population.born[who], missing.born[who])
        trade = population.trade[who]
        no_parent = population.parent[who] < 0
        columns = {
            "customer_id": self._customers.at(who),
            "kind": Labels((population.plan.kind,)).only(0, len(who)),
            "valid_from": dates(versions.valid_from),
            "region": Labels(REGIONS).at(population.regions[population.branch[who]]),
            "branch_id": Labels(population.branch_ids).at(population.branch[who]),
            "rm_id": rm_ids.at(population.branch[who] * n_rms + population.rm[who], no_rm),
            "tier": Labels(TIERS).at(versions.tier),
            "risk_level": Labels([f"C{level}" for level in range(6)]).at(versions.risk, no_level),
            "risk_assessed_on": dates(versions.assessed, no_level),
            "risk_expires_on": dates(versions.assessed + 365, no_level),
            "onboarded_on": dates(population.onboarded[who]),
            "income": numbers(np.rint(population.income[who] / 100) * 100, missing.income[who]),
            "channel_preference": Labels(PREFERENCES).at(population.preference[who]),
        }
        if is_retail:
            columns |= {
                "birth_date": born,
                "gender": Labels(("M", "F")).at(population.female[who]),
                "life_stage": Labels(STAGES).at(versions.stage, missing.stage[who]),
                "occupation": Labels(OCCUPATIONS).at(trade, missing.trade[who]),
            }
        else:
            columns |= {
                "founded_on": born,
                "parent_id": self._customers.at(np.maximum(population.parent[who], 0), no_parent),
                "industry": Labels(INDUSTRIES).at(trade, missing.trade[who]),
                "employees": numbers(np.rint(10 ** population.size[who])),
            }
        self._parts.add("customers", columns)

    def _add_accounts(self) -> None:
        customer, product, opened, matures, closed = self._simulation.ledger.accounts()
        starts = np.searchsorted(customer, customer, side="left")
        number = np.arange(len(customer)) - starts + 1
        words = np.array([f"-{position:03d}" for position in range(int(number.max(initial=0)) + 1)])
        self._parts.add(
            "accounts",
            {
                "account_id": pa.array(np.char.add(self._ids[customer], words[number])),
                "customer_id": self._customers.at(customer),
                "product_id": self._products.at(product),
                "opened_on": dates(opened),
                "closed_on": dates(closed, closed == 0),
                "matures_on": dates(matures, matures == 0),
                "recorded_on": self._recorded(opened, _LATE_ACCOUNTS, 5, 60),
            },
        )

    def _add_consents(self) -> None:
        population, consents = self._simulation.population, self._simulation.consents
        asked = self._rng.random(len(population)) < (0.97 if population.plan.kind == RETAIL else 0.9)
        for purpose, channel, refused in (
            (PURPOSES[0], None, consents.marketing),
            (PURPOSES[0], "phone", consents.phone),
            (PURPOSES[1], None, consents.personalisation),
        ):
            granted = np.flatnonzero((refused > population.onboarded) & asked & (channel is None))
            refusing = np.flatnonzero(refused < NO_DAY)
            customers = np.concatenate([granted, refusing])
            days = np.concatenate([population.onboarded[granted], refused[refusing]])
            columns = {
                "customer_id": self._customers.at(customers),
                "purpose": Labels((purpose,)).only(0, len(customers)),
                "granted": pa.array(np.arange(len(customers)) < len(granted)),
                "changed_on": dates(days),
                "recorded_on": self._recorded(days, _LATE_CONSENTS, 2, 20),
            }
            columns["channel"] = Labels((channel or "",)).at(
                np.zeros(len(customers)), np.full(len(customers), channel is None)
            )
            self._parts.add("consents", columns)
