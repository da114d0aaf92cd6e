"""What is answered to who is not known, or may not do what they ask.

NextProductError
├── NotAuthenticated  nobody knows who asks: HTTP 401
└── NotAllowed        who asks is known, and may not: HTTP 403
"""

from features.errors import NextProductError

_UNKNOWN = (
    "the caller is not known: send a valid token as `Authorization: Bearer TOKEN`, or a valid key as `X-API-Key: KEY`, "
    "and not both"
)


class NotAuthenticated(NextProductError):
    """A caller who is not known.

    Its message is the same whatever was wrong, since a reason would help who is guessing.

    Attributes
    ----------
    reason : what was wrong, for the service's own log; never part of what was presented
    """

    def __init__(self, reason: str) -> None:
        super().__init__(_UNKNOWN)
        self.reason = reason


class NotAllowed(NextProductError):
    """A known caller who may not do this."""
