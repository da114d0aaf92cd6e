"""The routes, by what they are about."""

from .administration.routes import router as administration
from .approvals.routes import router as approvals
from .book.routes import router as book
from .customers.routes import batches
from .customers.routes import router as customers
from .decisions.routes import router as decisions
from .events.routes import router as events
from .feedback.routes import router as feedback
from .operations.routes import router as operations
from .recommendations.routes import router as recommendations
from .versions.routes import router as versions

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
