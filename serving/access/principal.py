"""Who calls the service, and which customers are theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.errors import BadInput

from .roles import PERMISSIONS_OF, Permission, Role

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who is known: a person by a token, or a machine by an API key.

    Attributes
    ----------
    subject : who it is, as decisions on record name them
    role : what they do at the bank
    rm_id, branch_id : as in the customers table; an RM has the first, a team lead the second
    how : by what they are known

    Raises
    ------
    BadInput : when an RM has no rm_id, a team lead no branch_id, or a name is not 1 to 200 printable characters
    """

    subject: str
    role: Role
    rm_id: str | None
    branch_id: str | None
    how: Literal["token", "api_key"]

    def __post_init__(self) -> None:
        check_name("subject", self.subject)
        for field, value in (("rm_id", self.rm_id), ("branch_id", self.branch_id)):
            if value is not None:
                check_name(field, value)
        if self.role == Role.RM and self.rm_id is None:
            raise BadInput("the role rm needs an rm_id: say whose customers are meant")
        if self.role == Role.TEAM_LEAD and self.branch_id is None:
            raise BadInput("the role team_lead needs a branch_id: say whose customers are meant")

    def may(self, permission: Permission) -> bool:
        """Whether the role is allowed this, of the customers that the principal may see."""
        return permission in PERMISSIONS_OF[self.role]

    @property
    def sees_everybody(self) -> bool:
        """Whether every customer is among the principal's."""
        return self.role not in (Role.RM, Role.TEAM_LEAD)

    def may_see(self, rm_id: str | None, branch_id: str | None) -> bool:
        """Whether a customer of this RM and this branch is among the principal's: a customer without RM is no RM's."""
        # the principal's own is never None here, so that no customer without one is theirs
        if self.role == Role.RM:
            return rm_id == self.rm_id
        if self.role == Role.TEAM_LEAD:
            return branch_id == self.branch_id
        return True


def check_name(field: str, value: object) -> None:
    """Names go into logs and records: nothing in them may break a line or be no text at all.

    Raises
    ------
    BadInput : when `value` is not 1 to 200 printable characters, naming the field and not the value
    """
    if not (isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()):
        raise BadInput(f"{field} has to be 1 to {_LONGEST_NAME} printable characters")
