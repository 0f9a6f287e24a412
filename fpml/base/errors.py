"""The one error that a person is meant to read."""


class FpmlError(Exception):
    """Bad input or a bad state: one line with what was found, what is allowed and what to do."""
