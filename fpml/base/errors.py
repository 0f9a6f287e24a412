"""The one error that a person is meant to read."""


class FpmlError(Exception):
    """Bad input or a bad state: one line with what was found, what is allowed and what to do."""


def not_installed(package: str | None, extra: str = "pipeline", page: str = "README") -> str:
    """The line for a package that an extra of fpml brings."""
    return f"this needs {package}, which is not installed; it comes with fpml's extra [{extra}], see {page}"
