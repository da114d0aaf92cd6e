"""Roles, what each may do, and which customers are a principal's."""

import dataclasses

import pytest

from features.errors import BadInput
from serving.access import PERMISSIONS_OF, Permission, Principal, Role

MATRIX = """
                  customer recommend book feedback events approvals decisions versions metrics administer
rm                yes      yes       yes  yes      yes    yes       yes       yes      yes     no
team_lead         yes      yes       yes  yes      yes    yes       yes       yes      yes     no
campaign_manager  no       yes       no   yes      yes    yes       yes       yes      yes     no
analyst           no       yes       no   no       no     no        yes       yes      yes     no
risk_officer      yes      yes       no   no       no     yes       yes       yes      yes     no
administrator     yes      yes       yes  yes      yes    yes       yes       yes      yes     yes
"""


def rows():
    head, *lines = MATRIX.strip().splitlines()
    for line in lines:
        role, *answers = line.split()
        for permission, answer in zip(head.split(), answers, strict=True):
            yield role, permission, answer == "yes"


def principal(role, rm_id="RM01", branch_id="B1"):
    return Principal("li.wei", role, rm_id, branch_id, how="token")


class TestPermissions:
    @pytest.mark.parametrize(("role", "permission", "expected"), list(rows()))
    def test_matrix(self, role, permission, expected):
        assert principal(Role(role)).may(Permission(permission)) is expected

    def test_the_matrix_is_whole(self):
        assert {(role, permission) for role, permission, _ in rows()} == {
            (role.value, permission.value) for role in Role for permission in Permission
        }

    def test_nobody_can_give_themselves_more(self):
        with pytest.raises(TypeError):
            PERMISSIONS_OF[Role.RM] = frozenset(Permission)
        with pytest.raises(dataclasses.FrozenInstanceError):
            principal(Role.RM).role = Role.ADMINISTRATOR


class TestCustomers:
    """Of a customer: the RM's id and the branch's; of the principal: RM01 in branch B1."""

    @pytest.mark.parametrize(
        ("rm_id", "branch_id", "of_rm", "of_team_lead"),
        [
            ("RM01", "B1", True, True),
            ("RM01", "B2", True, False),
            ("RM01", None, True, False),
            ("RM02", "B1", False, True),
            ("RM02", "B2", False, False),
            (None, "B1", False, True),
            (None, None, False, False),
            ("", "", False, False),
            ("B1", "RM01", False, False),
        ],
    )
    def test_of_whom(self, rm_id, branch_id, of_rm, of_team_lead):
        assert principal(Role.RM).may_see(rm_id, branch_id) is of_rm
        assert principal(Role.TEAM_LEAD).may_see(rm_id, branch_id) is of_team_lead
        for role in (Role.CAMPAIGN_MANAGER, Role.ANALYST, Role.RISK_OFFICER, Role.ADMINISTRATOR):
            assert principal(role, None, None).may_see(rm_id, branch_id)

    def test_nothing_is_not_the_same_as_nothing(self):
        """A customer without an RM is not the customer of a team lead without an rm_id."""
        assert not principal(Role.TEAM_LEAD, rm_id=None).may_see(None, None)
        assert not principal(Role.RM, branch_id=None).may_see(None, None)

    def test_a_role_given_as_text_is_that_role(self):
        """Compared by identity it once was nobody's, and saw every customer."""
        assert not principal("rm").may_see("RM02", "B1")
        with pytest.raises(BadInput):
            principal("rm", rm_id=None)


class TestNames:
    def test_an_rm_has_an_id_and_a_team_lead_a_branch(self):
        with pytest.raises(BadInput, match="the role rm needs an rm_id"):
            principal(Role.RM, rm_id=None)
        with pytest.raises(BadInput, match="the role team_lead needs a branch_id"):
            principal(Role.TEAM_LEAD, branch_id=None)

    @pytest.mark.parametrize("name", ["", "a" * 201, "two\nlines", "\ud800", "nul\0", 7, ["a"], None])
    def test_a_name_is_text_that_can_be_logged(self, name):
        with pytest.raises(BadInput, match="subject has to be 1 to 200 printable characters"):
            Principal(name, Role.ANALYST, None, None, how="token")
        if name is not None:
            with pytest.raises(BadInput, match="rm_id has to be"):
                principal(Role.RM, rm_id=name)
            with pytest.raises(BadInput, match="branch_id has to be"):
                principal(Role.RM, branch_id=name)

    def test_chinese_names_are_names(self):
        assert Principal("李伟", Role.RM, "客户经理 1", None, how="token").may_see("客户经理 1", None)
