"""Checks of the input contract: named PASS, WARN and FAIL, each with the remedy."""

from .checking import INBOX_CHECK, CheckReport, CheckResult, checks_table, inbox_checks, run_checks
from .rules import Status

__all__ = ["INBOX_CHECK", "CheckReport", "CheckResult", "Status", "checks_table", "inbox_checks", "run_checks"]
