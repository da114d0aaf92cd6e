"""The statements that the SQL engine runs."""
