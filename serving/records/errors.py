"""What goes wrong with the records."""

from features.errors import NotReady


class NoRecords(NotReady):
    """There are no records yet."""


class NewerFormat(NotReady):
    """What is on record was written by a newer version of nextproduct."""


class RecordsUnavailable(NotReady):
    """The records cannot be read or written now. What was appended may or may not be on record: append it again under
    the same id.

    Attributes
    ----------
    briefly : what is wrong, without saying where the records lie
    """

    def __init__(self, says: str, briefly: str = "the records cannot be read or written") -> None:
        super().__init__(says)
        self.briefly = briefly
