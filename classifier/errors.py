"""The one exception that means: the person can mend this."""


class UserError(ValueError):
    """Bad input. Its text is one line: where, what was needed, what came, what to do.

    Stages and tools print it without a traceback and exit with status 1. Our own bugs are `assert`s instead.
    """
