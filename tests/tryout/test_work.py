"""Many clicks at once: so much is computed at a time, the rest waits or is told to come again."""

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Any

import httpx2
import pytest

from fpml.tryout import answers
from fpml.tryout.app import create_app
from fpml.tryout.models import Models
from fpml.tryout.sessions import Sessions
from fpml.tryout.work import Busy, Queue
from tests.tryout.conftest import HERE

CLICKS = 50


@pytest.fixture
def most_at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many times answers.inside ran at once, at most."""
    real, lock, running, most = answers.inside, Lock(), 0, 0

    def counted(*arguments: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return real(*arguments)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(answers, "inside", counted)
    return lambda: most


async def clicked(models: Models, queue: Queue, clicks: int) -> list[httpx2.Response]:
    """The answers to so many clicks at once, and to one afterwards."""
    transport = httpx2.ASGITransport(create_app(models, Sessions(), queue))
    async with httpx2.AsyncClient(transport=transport, base_url=HERE, headers={"origin": HERE}) as client:
        token = (await client.post("/api/open")).json()["session"]
        headers = {"fpml-session": token}
        await client.post("/api/example/inside", json={"file": "c-180dpi.png"}, headers=headers)
        body = {"model": "minutiae-1", "dpi": 180}
        together = [client.post("/api/inside", json=body, headers=headers) for _ in range(clicks)]
        return [*await asyncio.gather(*together), await client.post("/api/inside", json=body, headers=headers)]


def test_fifty_clicks_at_once_are_answered_in_turn(models: Models, most_at_once: Callable[[], int]) -> None:
    found = asyncio.run(clicked(models, Queue(at_once=2, waiting=64), CLICKS))
    assert [answer.status_code for answer in found] == [200] * (CLICKS + 1)
    assert most_at_once() == 2


def test_more_than_the_queue_holds_are_told_to_come_again(models: Models, most_at_once: Callable[[], int]) -> None:
    *found, after = asyncio.run(clicked(models, Queue(at_once=1, waiting=4), CLICKS))
    codes = [answer.status_code for answer in found]
    assert codes.count(200) == 5
    assert codes.count(503) == CLICKS - 5
    assert "try again in a moment" in next(a for a in found if a.status_code == 503).json()["error"]
    assert after.status_code == 200
    assert most_at_once() == 1


def test_an_error_leaves_the_queue() -> None:
    async def fail_and_go_on() -> None:
        queue = Queue(at_once=1, waiting=0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await queue.run(lambda: 1 // 0)
        assert await queue.run(lambda: 7) == 7
        with pytest.raises(Busy):
            await asyncio.gather(queue.run(lambda: 1), queue.run(lambda: 2))

    asyncio.run(fail_and_go_on())


def test_nothing_is_computed_for_a_page_that_closed(models: Models, most_at_once: Callable[[], int]) -> None:
    async def close_while_waiting() -> list[int]:
        queue = Queue(at_once=1, waiting=4)
        transport = httpx2.ASGITransport(create_app(models, Sessions(), queue))
        async with httpx2.AsyncClient(transport=transport, base_url=HERE, headers={"origin": HERE}) as client:
            token = (await client.post("/api/open")).json()["session"]
            headers, body = {"fpml-session": token}, {"model": "minutiae-1", "dpi": 180}
            await client.post("/api/example/inside", json={"file": "c-180dpi.png"}, headers=headers)
            gate = asyncio.Event()
            loop = asyncio.get_running_loop()
            first = asyncio.create_task(queue.run(lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()))
            waiting = asyncio.create_task(client.post("/api/inside", json=body, headers=headers))
            while len(queue) < 2:
                await asyncio.sleep(0)
            await client.post("/api/close", content=token)
            gate.set()
            await first
            return [(await waiting).status_code]

    assert asyncio.run(close_while_waiting()) == [410]
    assert most_at_once() == 0
