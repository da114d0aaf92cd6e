"""Where a bank's tables come from: folders, database files, importers of public data sets."""

from .tables import Attribute, BankTables

__all__ = ["Attribute", "BankTables"]
