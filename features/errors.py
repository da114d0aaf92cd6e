"""The errors a user can cause or meet, each with a message that names what is wrong, where, and what to do.

NextProductError
├── BadInput          a table, file or option says something it may not
├── BadConfiguration  the configuration file has an unknown key or an impossible value
├── NotReady          something needed has not been made yet (states, champion); the message says by which job
└── NotFound          a customer, product or model that does not exist
"""


class NextProductError(Exception):
    """Anything the command line reports as one sentence and the service as a problem, without a traceback."""


class BadInput(NextProductError):
    """Input that breaks the contract."""


class BadConfiguration(NextProductError):
    """A configuration that cannot be used."""


class NotReady(NextProductError):
    """Something that another job has to make first."""


class NotFound(NextProductError):
    """A name that stands for nothing here."""
