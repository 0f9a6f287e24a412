"""Who may come in: this machine's browser, on this page, with bodies of a bounded size."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from fpml.tryout.pictures import LARGEST
from tests.tryout.conftest import Page


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[", "10.0.0.1:8765"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    """By DNS rebinding any page can have its own name mean 127.0.0.1."""
    for answer in (
        client.get("/", headers={"host": host}),
        client.get("/static/page.js", headers={"host": host}),
        client.post("/api/open", headers={"host": host, "origin": f"http://{host}"}),
    ):
        assert answer.status_code == 421
        assert answer.json()["error"].startswith(f"the host is '{host}'; allowed: ")


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST"])
def test_loopback_by_any_name_comes_in(client: TestClient, host: str) -> None:
    assert client.post("/api/open", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8765", ""])
def test_another_page_s_requests_are_refused(page: Page, origin: str) -> None:
    before = page.ask("enrolled", model="minutiae-1")
    answer = page.client.post("/api/close", content=page.token, headers={"origin": origin})
    assert answer.status_code == 403
    assert "origin" in answer.json()["error"]
    assert page.ask("enrolled", model="minutiae-1").json() == before.json()  # the page is still open


def test_nobody_else_may_read_it_and_nothing_comes_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/static/page.css", "/static/page.js", "/nothing"):
        headers = client.get(path, headers={"origin": "http://evil.example"}).headers
        assert not [name for name in headers if name.startswith("access-control")]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
    answer = client.options("/api/open", headers={"origin": "http://evil.example", "access-control-request-method": "POST"})
    assert answer.status_code == 405


def test_what_is_not_there_is_said_in_one_line(client: TestClient, page: Page) -> None:
    for path in ("/nothing", "/docs", "/openapi.json", "/static/../app.py", "/static/%2e%2e/app.py"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert list(answer.json()) == ["error"]
    said = page.client.post(
        "/api/compare", content=b"{", headers={"fpml-session": page.token, "content-type": "application/json"}
    )
    assert said.status_code == 400
    assert "JSON" in said.json()["error"]
    assert "model" in page.ask("compare", dpi="x").json()["error"]
    assert page.ask("compare", model="nothing").json()["error"].startswith("no model 'nothing' here; there are minutiae-1")


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 2**16 + 1):
        yield bytes(2**16)


def test_a_body_is_bounded_by_what_it_says_and_by_what_it_is(page: Page) -> None:
    headers = {"fpml-session": page.token}
    path = "/api/picture/inside?name=a.png"
    said = page.client.post(path, content=b"x", headers={**headers, "content-length": str(LARGEST + 1)})
    streamed = page.client.post(path, content=chunks(LARGEST), headers=headers)
    other = page.client.post("/api/compare", content=chunks(2**20), headers={**headers, "content-type": "application/json"})
    closing = page.client.post("/api/close", content=chunks(2**20))
    for answer in (said, streamed, other, closing):
        assert answer.status_code == 413
        assert answer.json()["error"].startswith("too large: more than the limit of ")
    assert page.ask("enrolled", model="minutiae-1").status_code == 200
