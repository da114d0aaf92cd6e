"""The routes, by what they are about."""

from .administration import router as administration
from .book import router as book
from .customers import router as customers
from .decisions import router as decisions
from .events import router as events
from .feedback import router as feedback
from .operations import router as operations
from .versions import router as versions

ROUTERS = (operations, customers, book, feedback, events, decisions, versions, administration)
"""In the order of the documentation."""
