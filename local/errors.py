"""What can go wrong on this machine while the stack starts.

LocalError
├── ServerError      PostgreSQL or Redis cannot be started
├── StackError       the folder or a port is in use, or a process does not get ready
└── DemoError        the demo data cannot be created
"""


class LocalError(Exception):
    """The local stack cannot start; the message is a sentence for the person who started it."""


class ServerError(LocalError):
    """PostgreSQL or Redis cannot be started."""


class StackError(LocalError):
    """The folder or a port is in use, or a process does not get ready."""


class DemoError(LocalError):
    """The demo data cannot be created."""
