"""Who acquired what, read off the accounts one by one."""

from datetime import date


def acquired(accounts, customer_id, product_id, as_of: date, until: date) -> bool:
    """Opened after `as_of` and by `until`, not held at `as_of`. Accounts are (customer, product, opened, closed)."""
    own = [account for account in accounts if account[:2] == (customer_id, product_id)]
    held = any(opened <= as_of and (closed is None or closed > as_of) for *_, opened, closed in own)
    return not held and any(as_of < opened <= until for *_, opened, _closed in own)
