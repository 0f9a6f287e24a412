"""The page's server: loopback alone, one process, until it is interrupted."""

import errno
import socket
import threading
import webbrowser
from contextlib import suppress

import uvicorn

from fpml.base.errors import FpmlError
from fpml.tryout.app import create_app
from fpml.tryout.models import offered

CONNECTIONS = 128  # at once; more are refused before they are read


def serve(models: list[str], port: int, browser: bool) -> None:
    """Serve until Ctrl-C. FpmlError for a port that is taken or none, and for what `offered` refuses."""
    if not 0 <= port <= 65535:
        raise FpmlError(f"--port is {port}; allowed: 0 (any free one) to 65535")
    with _listening(port) as listener:
        app = create_app(offered(models))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print(f"{address} (Ctrl-C ends it; what you upload stays in its memory)", flush=True)
        if browser:
            # In a thread: a text browser, where there is no other, runs in the terminal until it is left.
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="warning", access_log=False, proxy_headers=False, server_header=False, ws="none",
                limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=3,
            )
        )  # fmt: skip
        with suppress(KeyboardInterrupt):  # uvicorn ends in good order, and raises it again
            server.run(sockets=[listener])
        print("ended; nothing was kept")


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # the browser may ask before the server does; it waits
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise FpmlError(f"port {port} is taken; give another: --port N (0: any free one)") from None
        raise
    return listener
