"""The API reference as the running app gives it, to anybody."""

import httpx
import pytest

from sync.api.reference.document import document
from tests.cloud.local import LocalCloud


async def test_the_document_is_of_this_app(cloud: LocalCloud, http: httpx.AsyncClient) -> None:
    """What a client is generated from, with the address of the app that gave it; without a key."""
    answer = await http.get(f"{cloud.functions_url}/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document(cloud.functions_url)


async def test_the_page_is_safe_to_open(cloud: LocalCloud, http: httpx.AsyncClient) -> None:
    """It may load nothing and be framed by nobody, and shows where this app is."""
    answer = await http.get(f"{cloud.functions_url}/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert f"APP={cloud.functions_url}" in answer.text


@pytest.mark.parametrize("path", ["openapi.json", "docs"])
async def test_who_has_it_is_not_sent_it_again(cloud: LocalCloud, http: httpx.AsyncClient, path: str) -> None:
    """A browser or a client that asks again gets 304 as long as nothing has changed."""
    first = await http.get(f"{cloud.functions_url}/{path}")
    again = await http.get(f"{cloud.functions_url}/{path}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await http.get(f"{cloud.functions_url}/{path}", headers={"If-None-Match": '"0"'})
    assert other.content == first.content
