"""Roles, and what each may do."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What somebody does at the bank."""

    RM = "rm"
    TEAM_LEAD = "team_lead"
    CAMPAIGN_MANAGER = "campaign_manager"
    ANALYST = "analyst"
    RISK_OFFICER = "risk_officer"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """What a role may be allowed to do."""

    CUSTOMER = "customer"
    """What is known of a customer: the overview, why a product is not suggested, and all of a decision on record."""
    RECOMMEND = "recommend"
    """Recommendations, for one customer or many, with what they say of the customer."""
    BOOK = "book"
    """The customers of an RM, as a list to work through."""
    FEEDBACK = "feedback"
    """Saying what became of a recommendation."""
    EVENTS = "events"
    """Saying what happened to a customer since the states were built."""
    APPROVALS = "approvals"
    """Asking for what takes another person, and deciding what others ask for; the kind of approval says which role
    does which."""
    DECISIONS = "decisions"
    """Reading one decision on record, and replaying it; without `CUSTOMER` as far as its answer tells of the customer.
    """
    VERSIONS = "versions"
    """Model, states and policy in use."""
    METRICS = "metrics"
    """Figures of the service."""
    ADMINISTER = "administer"
    """Changing which model, states and policy are in use, and going back."""


_P = Permission
# written out, not "all but": a permission to come is nobody's until somebody gives it
_OF_OWN_CUSTOMERS = frozenset(
    {_P.CUSTOMER, _P.RECOMMEND, _P.BOOK, _P.FEEDBACK, _P.EVENTS, _P.APPROVALS, _P.DECISIONS, _P.VERSIONS, _P.METRICS}
)

PERMISSIONS_OF: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.RM: _OF_OWN_CUSTOMERS,
        Role.TEAM_LEAD: _OF_OWN_CUSTOMERS,
        Role.CAMPAIGN_MANAGER: frozenset(
            {_P.RECOMMEND, _P.FEEDBACK, _P.EVENTS, _P.APPROVALS, _P.DECISIONS, _P.VERSIONS, _P.METRICS}
        ),
        Role.ANALYST: frozenset({_P.RECOMMEND, _P.DECISIONS, _P.VERSIONS, _P.METRICS}),
        Role.RISK_OFFICER: frozenset({_P.CUSTOMER, _P.RECOMMEND, _P.APPROVALS, _P.DECISIONS, _P.VERSIONS, _P.METRICS}),
        Role.ADMINISTRATOR: frozenset(Permission),
    }
)
"""RMs and team leads have theirs over their own customers only: see `Principal.may_see`."""
