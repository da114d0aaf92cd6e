"""The routes, by what they are about."""

from .administration import router as administration
from .approvals import router as approvals
from .book import router as book
from .customers import batches
from .customers import router as customers
from .decisions import router as decisions
from .events import router as events
from .feedback import router as feedback
from .operations import router as operations
from .recommendations import router as recommendations
from .versions import router as versions

ROUTERS = (
    recommendations,
    customers,
    batches,
    book,
    feedback,
    events,
    approvals,
    decisions,
    versions,
    administration,
    operations,
)
"""In the order of the documentation, and in which they are looked through: what is asked most comes first."""
