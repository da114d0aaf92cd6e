"""A synthetic bank: an instrument that knows the truth its tables only hint at.

`generate` writes the tables that the pipeline reads and, apart from them, the `Truth`: the probability of every
acquisition and the effect of every contact, exactly as they were drawn from.
"""

from .bank import SyntheticBank
from .generation import TABLES_FOLDER, TRUTH_FOLDER, generate
from .truth import Truth

__all__ = ["TABLES_FOLDER", "TRUTH_FOLDER", "SyntheticBank", "Truth", "generate"]
