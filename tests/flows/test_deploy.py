import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.conftest import IN_BACKGROUND, REPOSITORY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_one_line(number: signal.Signals) -> None:
    """While it waits for a server that takes its time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        command = subprocess.Popen(
            [*IN_BACKGROUND, sys.executable, "-m", "flows.deploy"], cwd=REPOSITORY, text=True,
            env={**os.environ, "PREFECT_API_URL": address}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        server.settimeout(60)
        with server.accept()[0]:
            command.send_signal(number)
            said = command.communicate(timeout=60)[1]
    assert command.returncode == 130, said
    assert said.strip() == "flows.deploy: interrupted; run it again to put the rest in place"
