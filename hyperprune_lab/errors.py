"""The one exception for mistakes a person can mend.

Knows nothing about where it is raised or how it is shown: the command line turns it into exit code 2.
"""


class UserError(Exception):
    """A mistake in what was asked; the message names the thing and the way out."""
