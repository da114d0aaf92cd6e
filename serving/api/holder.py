"""Holds the recommender in use, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path

from features.errors import NextProductError

from ..recommender import Recommender


class RecommenderHolder:
    """Opens the workspace's recommender when asked and keeps it.

    Without states or a champion that can be used the service starts all the same, answers 503 with the reason, and
    looks again at the next request: the jobs that make them may be running.
    """

    def __init__(self, workspace: Path, tracking_uri: str | None = None) -> None:
        self._workspace = workspace
        self._tracking_uri = tracking_uri
        self._recommender: Recommender | None = None

    def refresh(self) -> None:
        """Open what is in use now, if there is anything, and compile what the first answer needs."""
        try:
            recommender = Recommender.open(self._workspace, self._tracking_uri)
        except NextProductError:  # told to whoever asks
            return
        if recommender.states.n_customers:
            recommender.recommend(recommender.states.customer_id(0), limit=1)
        self._recommender = recommender

    def get(self) -> Recommender:
        """The recommender in use.

        Raises
        ------
        NotReady : when states or champion are still missing
        BadInput : when the champion's files are not what was written
        """
        if self._recommender is None:
            self._recommender = Recommender.open(self._workspace, self._tracking_uri)
        return self._recommender
