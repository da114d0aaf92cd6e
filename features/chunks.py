"""How work over customers is shared out: block by block, and within one by one thread for the few and by all threads,
chunk by chunk, for the many."""

BLOCK_SIZE = 8_192
"""Customers computed on at a time: enough to keep NumPy busy, few enough that a block's arrays are used again from the
process's own memory instead of being asked for anew, page by page: from states to decisions 65,536 take longer."""

FEW = 64
"""Customers below which waking the threads costs more than the arithmetic."""

CHUNK = 256
"""Customers that a thread takes at a time."""
