"""One service: how it is started, and how it is seen to be up."""

import socket
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PAST_PROXIES = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the services are on loopback


class ServiceError(RuntimeError):
    """A service could not be started: what it needs, or what it said last."""


@dataclass(frozen=True)
class Service:
    name: str
    command: list[str]
    environment: dict[str, str]
    answers: Callable[[], bool]
    address: str
    user: str | None = None  # PostgreSQL refuses to run as root


def signed_in(user: str, password: str) -> dict[str, str]:
    """The header of a request with a password."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def status(url: str, headers: dict[str, str] | None = None) -> int | None:
    """The status of an answer; None where there is none."""
    try:
        with PAST_PROXIES.open(urllib.request.Request(url, headers=headers or {}), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace", encoding="utf-8").splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'it said nothing'} (log: {log})"
