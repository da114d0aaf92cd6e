"""How a kernel over customers shares its work: one thread takes the few, all threads take the many, chunk by chunk."""

FEW = 64
"""Customers below which waking the threads costs more than the arithmetic."""

CHUNK = 256
"""Customers that a thread takes at a time."""
