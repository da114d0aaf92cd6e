"""A policy made ready for the customers and products of some states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import CustomerStates
from features.errors import NotFound

from .layers.arbitration import Weights
from .layers.consent import ConsentLog
from .layers.contact_policy import ComplaintLog, ContactLog, ContactTables
from .layers.facts import Moment, Profiles, Series, Stages
from .layers.rule_tables import ArbitrationTables, EligibilityTables, Groups, arbitration_tables, eligibility_tables
from .layers.service_actions import occasions_of
from .layers.suitability import SuitabilityTables
from .layers.triggers import MaturityLog, TriggerTables
from .layers.value import ProductValue
from .one_pass import Tables
from .policy.schema import Policy

POPULARITY_WINDOW = 3
"""Periods whose acquisitions make a product popular."""

_CONTEXTS_KEPT = 16


@dataclass(frozen=True)
class Context:
    """On what occasion a decision is made.

    Attributes
    ----------
    channel : through which the customer would be contacted
    day : of the decision
    asked : ids of the products the client asked for; everything else would be recommended
    """

    channel: str
    day: date
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContextTables:
    """What of a policy depends on channel and day.

    Attributes
    ----------
    plain : these and all else that the layers read, see `Tables.plain`
    """

    eligibility: EligibilityTables
    arbitration: ArbitrationTables
    weights: Weights
    plain: tuple[Any, ...]


@dataclass(frozen=True)
class CompiledPolicy:
    """A policy's rules as arrays over the products and groups of customers of some states, at one period.

    Attributes
    ----------
    evidence : int64, shape (n_products,); acquisitions in what the models learned from
    debts : bool, shape (n_products,); whose balances are owed
    margins : float64, shape (n_products,); of a typical account over its life, discounted
    popularity : float32, shape (n_products,); acquisitions of all customers in `POPULARITY_WINDOW` periods
    """

    policy: Policy
    states: CustomerStates
    period: int
    evidence: NDArray[np.int64]
    groups: Groups
    debts: NDArray[np.bool_]
    value: ProductValue
    margins: NDArray[np.float64]
    popularity: NDArray[np.float32]
    suitability: SuitabilityTables
    contacts: ContactTables
    triggers: TriggerTables
    _by_context: dict[tuple[str, date], ContextTables] = field(init=False, default_factory=dict, repr=False)

    @classmethod
    def of(cls, policy: Policy, states: CustomerStates, period: int, evidence: NDArray[np.int64]) -> CompiledPolicy:
        """Resolve `policy` for `states`, looking from `period`."""
        catalogue = states.catalogue
        debts = np.array([product.family in policy.debts for product in catalogue.products], dtype=np.bool_)
        value = ProductValue.of(states, period, debts, max_life_years=policy.arbitration.max_life_years)
        return cls(
            policy=policy,
            states=states,
            period=period,
            evidence=evidence,
            groups=Groups.of(policy),
            debts=debts,
            value=value,
            margins=value.lifetime_margins(policy.arbitration.discount_rate),
            popularity=states.history.added_within(period, POPULARITY_WINDOW).astype(np.float32),
            suitability=SuitabilityTables.of(policy.suitability, catalogue),
            contacts=ContactTables.of(policy.contact_policy, catalogue),
            triggers=TriggerTables.of(policy, catalogue, debts),
        )

    def decision_day(self, today: date) -> date:
        """The day for which a decision is made `today`: that day or the states' last, as the policy says; a clock may
        be behind, but the states' last day has been."""
        return max(today, self._last_day) if self.policy.decision_day == "today" else self._last_day

    @cached_property
    def _last_day(self) -> date:
        return self.states.calendar.end_of(self.period)

    def asked(self, context: Context) -> NDArray[np.bool_]:
        """Shape (n_products,): what the client asked for.

        Raises
        ------
        NotFound : when a product is not in the catalogue
        """
        if not context.asked:
            return self._nothing
        asked = self._nothing.copy()
        asked[[self.states.catalogue.position_of(product_id) for product_id in context.asked]] = True
        return asked

    @cached_property
    def _nothing(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.states.catalogue), dtype=np.bool_)

    def tables(self, context: Context) -> ContextTables:
        """The rules for a channel and day, kept for the next time.

        Raises
        ------
        NotFound : when the policy has no such channel
        """
        key = context.channel, context.day
        found = self._by_context.get(key)
        if found is None:
            found = self._tables(context)
            if len(self._by_context) >= _CONTEXTS_KEPT:
                self._by_context.clear()
            self._by_context[key] = found
        return found

    def _tables(self, context: Context) -> ContextTables:
        policy, catalogue, channel = self.policy, self.states.catalogue, context.channel
        if channel not in policy.channels:
            raise NotFound(f"the policy has no channel {channel!r}; it has: {', '.join(policy.channels)}")
        terms, later = policy.channels[channel], policy.contact_policy.later
        minutes = np.array([product.contact_minutes or 0.0 for product in catalogue.products])
        lowest, highest = policy.arbitration.context_limits
        eligibility = eligibility_tables(
            policy, catalogue, self.states.calendar, self.groups, self.period, channel, context.day
        )
        arbitration = arbitration_tables(policy, catalogue, self.groups, self.evidence, channel, context.day)
        weights = Weights(
            self.margins,
            terms.cost + terms.cost_per_minute * minutes,
            self.value.log_assets,
            self.value.elasticity,
            self.popularity,
            self.triggers.weights,
            later.weight if later else 1.0,
            lowest,
            highest,
        )
        return ContextTables(eligibility, arbitration, weights, self._plain(context, eligibility, arbitration, weights))

    def _plain(
        self, context: Context, eligibility: EligibilityTables, arbitration: ArbitrationTables, weights: Weights
    ) -> tuple[Any, ...]:
        policy, states, groups = self.policy, self.states, self.groups
        return Tables(
            Moment.of(context.day, states.age_of(self.period)),
            Profiles.of(states.profile, groups),
            Series.of(states.balances),
            Series.of(states.flows),
            ConsentLog.of(states.consents, policy.consent, context.channel),
            ContactLog.of(states.contacts, context.channel),
            ComplaintLog.of(states.complaints),
            MaturityLog.of(states.maturities),
            Stages(len(groups.tiers), groups.from_ages, groups.to_ages, self.debts, policy.suitability.pack.valid_days),
            eligibility,
            self.suitability,
            self.contacts,
            self.triggers,
            arbitration,
            weights,
            occasions_of(policy.service_actions),
        ).plain
