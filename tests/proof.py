"""How much is tried: `make test` a sample, `make proof` the large counts."""

import os


def count(sample: int, *, proof: int) -> int:
    """Of examples."""
    return proof if os.environ.get("NEXTPRODUCT_PROOF") else sample
