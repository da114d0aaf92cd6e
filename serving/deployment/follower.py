"""Follows the deployments of a workspace, so that a worker has in use what is, while it goes on answering."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from features.clock import Clock
from features.errors import NotReady
from features.kernels import watched

from .changes import Intent, take_up
from .deployments import FOLDER, Deployment, current, current_number
from .opening import InUse, open_deployment
from .proposals import MayUse
from .rehearsal import warm_up
from .workers import Acknowledgement

POLL = 0.25
"""Seconds between two looks at which deployment is current."""

_REST = 10  # times as long as a look that came to nothing took, until the next: it may take a whole opening

_log = logging.getLogger(__name__)


class Follower:
    """Knows what is in use.

    Without states or a champion that can be used a service starts all the same and says why it cannot answer, and
    looks again: the jobs that make them may be running. A new deployment is opened and warmed up in a thread beside
    the one in use, then the one reference to both is replaced. When nobody here decides by the old one any more, the
    worker says so.

    Attributes
    ----------
    failure : why the newest deployment, or what the workspace names, is not in use; None: it is
    """

    def __init__(
        self, workspace: Path, tracking_uri: str | None, clock: Clock, intend: Intent, may_use: MayUse | None = None
    ) -> None:
        """`intend` : puts on record what a start is about to put into use; `may_use` : as of `deploy`."""
        self.failure: str | None = None
        self._workspace = workspace
        self._tracking_uri = tracking_uri
        self._clock = clock
        self._intend = intend
        self._may_use = may_use
        self._held: InUse | None = None
        self._compiling = 0
        self._until_stopped = ExitStack()
        self._said = Acknowledgement(workspace)
        self._changes = threading.Condition()
        self._deciding: Counter[int] = Counter()
        self._is_urged = self._is_stopping = False
        self._thread = threading.Thread(target=self._follow, name="deployments", daemon=True)

    def start(self) -> None:
        """Open what is to be in use, if that is possible, and follow what is deployed from then on."""
        self._until_stopped.enter_context(watched(self._note_compiling))
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer; what is in use stays so."""
        with self._changes:
            self._is_stopping = True
            self._changes.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._until_stopped.close()
        self._said.withdraw()

    def look_now(self) -> None:
        """Do not wait for the next look."""
        with self._changes:
            self._is_urged = True
            self._changes.notify_all()

    def hold(self) -> InUse:
        """What is in use now, to decide by until `release`: till then nobody is told that it is no longer in use.

        Raises
        ------
        NotReady : when there is nothing, saying why
        """
        with self._changes:
            in_use = self.get()
            self._deciding[in_use.deployment.number] += 1
        return in_use

    def release(self, in_use: InUse) -> None:
        """What was decided by `in_use` is on record, or given up."""
        number = in_use.deployment.number
        with self._changes:
            self._deciding[number] -= 1
            if not self._deciding[number]:
                del self._deciding[number]
                self._changes.notify_all()

    @property
    def held(self) -> InUse | None:
        """What is in use now; None: nothing."""
        return self._held

    def get(self) -> InUse:
        """What is in use now.

        Raises
        ------
        NotReady : when there is nothing, saying why
        """
        held = self._held
        if held is None:
            raise NotReady(self.failure or "the service is starting")
        return held

    def _follow(self) -> None:
        pause = POLL
        while not self._rested(pause):
            start = time.monotonic()
            succeeded = self._look()
            pause = POLL if succeeded else max(POLL, _REST * (time.monotonic() - start))

    def _rested(self, pause: float) -> bool:
        """Wait for the next look; whether there is to be none."""
        with self._changes:
            self._changes.wait_for(lambda: self._is_urged or self._is_stopping, pause)
            self._is_urged = False
            return self._is_stopping

    def _look(self) -> bool:
        """Take up what is new, if anything is; False: that failed."""
        try:
            held = self._held
            if held is None:
                self._begin()
            elif current_number(self._workspace) not in (None, held.deployment.number):
                self._follow_to(current(self._workspace), held)
            elif not self._said.has_said(held.deployment.number) and (self._workspace / FOLDER).is_dir():
                self._say()
        except Exception as error:  # the thread must outlive whatever is wrong with a deployment
            self._note(str(error) or type(error).__name__)
            return False
        return True

    def _begin(self) -> None:
        """Take up what is in use; who deploys meanwhile waits for this worker, or is seen by it."""
        new, refused = take_up(self._workspace, self._tracking_uri, self._clock, self._intend, self._may_use)
        try:
            self._said.say(new.deployment.number)
            while (now := current(self._workspace)) is not None and now != new.deployment:
                new, refused = self._opened(now, new), None
        except BaseException:
            self._said.withdraw()
            raise
        self._take(new, refused)

    def _follow_to(self, deployment: Deployment | None, held: InUse) -> None:
        if deployment is None:  # whoever took the deployments away did not put anything else into use
            return
        self._take(self._opened(deployment, held), None)

    def _opened(self, deployment: Deployment, share: InUse) -> InUse:
        new = open_deployment(self._workspace, deployment, self._tracking_uri, self._clock, share=share)
        warm_up(new.engine)
        return new

    def _take(self, new: InUse, refused: str | None) -> None:
        with self._changes:
            self._held = new
        if self._compiling:
            _log.warning("compiled %d functions until deployment %d was in use", self._compiling, new.deployment.number)
            self._compiling = 0
        _log.info("deployment %d is in use: %s", new.deployment.number, new.engine.versions)
        self._note(refused)
        self._say()

    def _say(self) -> None:
        """Tell others what is in use here, once nobody decides by anything else any more."""
        with self._changes:
            assert self._held is not None
            number = self._held.deployment.number
            self._changes.wait_for(lambda: self._deciding.keys() <= {number} or self._is_stopping)
            if self._is_stopping:
                return
        self._said.say(number)

    def _note_compiling(self, name: str) -> None:
        self._compiling += 1
        if self._compiling == 1:
            _log.warning(
                "compiling %s and perhaps more, for a minute or two: run `nextproduct compile` where the service is "
                "installed, and nothing is left to be compiled when it starts",
                name,
            )

    def _note(self, failure: str | None) -> None:
        if failure is not None and failure != self.failure:
            _log.warning("%s", failure)
        self.failure = failure
