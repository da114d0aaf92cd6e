"""How much one caller may ask for: so many requests a second in the long run, and a burst after a pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from .principal import Principal
from .roles import Role

_FIRST_SWEEP = 1024


class RateLimiter:
    """A bucket of requests a caller, filled steadily; each worker process has buckets of its own.

    Kept as one number a caller, the time at which the bucket is full again (the generic cell rate algorithm): once it
    is past, the caller is as good as new and forgotten. To be used by one thread.

    Parameters
    ----------
    requests_per_second : by which a bucket fills
    burst : requests in a full bucket
    by_role : requests per second of roles that have their own; their burst is in the same proportion, at least 1
    clock : seconds that only grow
    """

    def __init__(
        self,
        requests_per_second: float,
        burst: int,
        by_role: Mapping[Role, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._pace = {}
        for role in Role:
            rate = (by_role or {}).get(role, requests_per_second)
            in_bucket = max(1.0, burst * rate / requests_per_second)
            self._pace[role] = (1 / rate, (in_bucket - 1) / rate)
        self._full_at: dict[tuple[str, str], float] = {}
        self._sweep_at = _FIRST_SWEEP

    def __len__(self) -> int:
        """Callers remembered."""
        return len(self._full_at)

    def most_at_once(self, principal: Principal) -> int:
        """Requests in the caller's bucket when it is full."""
        a_request, tolerated = self._pace[principal.role]
        return 1 + int(tolerated / a_request + 1e-6)  # a whole number may come out a hair below itself

    def admit(self, principal: Principal, requests: int = 1) -> float:
        """0.0: go on, the requests are counted; else the seconds to wait, and nothing is counted.

        Parameters
        ----------
        requests : not more than `most_at_once`, which are never admitted
        """
        a_request, tolerated = self._pace[principal.role]
        caller = (principal.how, principal.subject)
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now)
        wait = full_at - now - tolerated + (requests - 1) * a_request
        if wait > 0:
            return wait
        self._full_at[caller] = full_at + requests * a_request
        if len(self._full_at) > self._sweep_at:
            self._sweep(now)
        return 0.0

    def _sweep(self, now: float) -> None:
        """Forget whose bucket is full; the next time only when as many again have come, so that it costs next to
        nothing a request."""
        self._full_at = {caller: full_at for caller, full_at in self._full_at.items() if full_at > now}
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._full_at))
