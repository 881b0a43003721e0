"""The one error type whose text is meant for the user."""


class SignbitError(ValueError):
    """Something the user gave is wrong.

    The message is one line that says what is wrong and what to do; commands print it after `error:` and
    exit with code 2.
    """
