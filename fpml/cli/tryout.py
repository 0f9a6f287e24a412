"""fpml try: the page on which models and the generator are tried by hand."""

import argparse

from fpml.base.errors import FpmlError, not_installed
from fpml.tasks.command import OF_MODEL, Arguments, Command

PORT = 8765


def try_out(a: Arguments) -> None:
    """Serve the page on loopback until interrupted, and open it in the browser. FpmlError for a port that is taken, and for a
    model that is missing or that the page has no use for."""
    try:
        from fpml.tryout.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fpml"):
            raise
        raise FpmlError(not_installed(error.name, "try", "docs/try.md")) from None
    serve(a.models, a.port, not a.no_browser)


def arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("models", nargs="*", metavar="MODEL", help=f"to try beside those that come with fpml: {OF_MODEL}")
    p.add_argument("--port", type=int, default=PORT, metavar="N", help=f"of 127.0.0.1; 0: any free one (default {PORT})")
    p.add_argument("--no-browser", action="store_true", help="print the address and open nothing")


COMMANDS: dict[str, Command] = {
    "try": ("open a page to try models and the generator, on this machine alone", try_out, arguments),
}
