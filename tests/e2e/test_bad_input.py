"""Requests that can't be: each is refused with a problem its developer can act on, and nothing is changed."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from tests import files
from tests.cloud.crm_api import CrmApi
from tests.cloud.stage import attached
from tests.e2e.account import Connected, unique
from tests.e2e.witness import Witness, problem_of

UNKNOWN = "abcdefghijklmnopqrstuvwx"


async def call(
    witness: Witness,
    method: str,
    path: str,
    *,
    key: str | None = None,
    account_id: str | None = None,
    **request: Any,
) -> httpx.Response:
    """A route of the account, with the function key. `path` is what comes behind `/v1/accounts/{account_id}`."""
    headers = {"x-functions-key": witness.cloud.function_key} | request.pop("headers", {})
    if key is not None:
        headers["Idempotency-Key"] = key
    url = f"{witness.cloud.functions_url}/v1/accounts/{account_id or witness.user.account_id}{path}"
    return await witness.http.request(method, url, headers=headers, **request)


# Ids.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/messages/msg_{UNKNOWN}"),
        ("GET", f"/threads/thr_{UNKNOWN}"),
        ("GET", f"/attachments/att_{UNKNOWN}_0"),
        ("GET", f"/events/evt_0000000099{UNKNOWN[:12]}"),
        ("POST", f"/events/evt_0000000001{UNKNOWN[:12]}/redeliver"),
        ("GET", "/users/nobody/connection"),
        ("DELETE", "/users/nobody/connection"),
    ],
)
async def test_what_is_not_there_and_what_is_anothers_look_the_same(witness: Witness, method: str, path: str) -> None:
    """An unknown id, and an unknown account: 404, and no word tells the two apart."""
    here = await witness.refused(lambda: call(witness, method, path), 404, "not_found")
    elsewhere = await witness.refused(lambda: call(witness, method, path, account_id="nowhere"), 404, "not_found")

    assert {**here, "request_id": ""} == {**elsewhere, "request_id": ""}
    assert here["request_id"] != elsewhere["request_id"]


async def test_ids_of_one_account_lead_nowhere_in_another(connected: Connected) -> None:
    """Every id that exists: found in its own account, and in any other exactly as if it had never been."""
    message = await connected.sent(attachments=[attached("offer.pdf", "application/pdf", files.pdf())])
    event = (await connected.feed())[0]
    reads: list[tuple[Callable[[CrmApi, str], Awaitable[httpx.Response]], str]] = [
        (CrmApi.message, message["message_id"]),
        (CrmApi.thread, message["thread_id"]),
        (CrmApi.attachment, message["attachments"][0]["attachment_id"]),
        (CrmApi.event, event["id"]),
        (CrmApi.connection, connected.user_id),
    ]

    async with connected.cloud.api(unique("other")) as elsewhere:
        never = problem_of(await elsewhere.message(f"msg_{UNKNOWN}"))
        for read, known_id in reads:
            assert (await read(connected.api, known_id)).status_code == 200
            refused = await read(elsewhere, known_id)
            assert refused.status_code == 404
            assert {**problem_of(refused), "request_id": ""} == {**never, "request_id": ""}
        assert (await elsewhere.redeliver(event["id"])).status_code == 404
        assert (await elsewhere.threads()).json()["threads"] == []
        assert (await elsewhere.events()).json()["events"] == []


@pytest.mark.parametrize("what", ["messages", "threads", "attachments", "events"])
@pytest.mark.parametrize(
    "odd",
    [
        "'",
        "' or 1 eq 1 or '",
        "%2F",
        "%5C",
        "%23",
        "%3F",
        "%00",
        "%7F",
        "%09",
        "%2e%2e%2f",
        "ü",
        "🙂",
        "x" * 1_100,
        "|",
    ],
)
async def test_an_id_of_any_characters_is_just_not_found(witness: Witness, what: str, odd: str) -> None:
    """What no table key may hold, quotes of a query, a path that climbs: not found, never an error of ours."""
    answer = await call(witness, "GET", f"/{what}/a{odd}b")

    assert answer.status_code == 404
    assert problem_of(answer)["code"] == "not_found"


@pytest.mark.parametrize("bad", ["a b", "ü", "a'b", "x" * 65, "a.b", "a%00b", "a%2Fb", "a@b", "%20"])
@pytest.mark.parametrize("path", ["/threads", "/events", "/users/{user}/connection", "/messages/msg_x"])
async def test_an_account_id_has_its_form(witness: Witness, bad: str, path: str) -> None:
    """Anything but 1 to 64 of `A-Za-z0-9_-` is told as what it is, before anything is looked up."""
    answer = await call(witness, "GET", path.format(user="dana"), account_id=bad)

    assert problem_of(answer)["code"] == "malformed_request"
    assert "account_id" in answer.json()["detail"]


async def test_a_user_id_has_its_form_everywhere(witness: Witness) -> None:
    """In paths and in bodies."""
    sign_in = {"return_url": witness.cloud.crm.return_url}
    for method, path, body in (
        ("POST", "/users/a.b/connection/sign-in", sign_in),
        ("POST", "/users/a.b/connection/complete", {"completion_code": "x.y"}),
        ("GET", "/users/a.b/connection", None),
        ("DELETE", "/users/a.b/connection", None),
    ):
        asked = partial(call, witness, method, path, json=body)
        problem = await witness.refused(asked, 400, "malformed_request")
        assert "user_id" in problem["detail"]

    mail = witness.user.mail(user_id="a.b")
    problem = await witness.refused(lambda: witness.user.api.send(mail, unique("key")), 422, "invalid_request")
    assert [wrong["field"] for wrong in problem["errors"]] == ["user_id"]


# The query.


@pytest.mark.parametrize("path", ["/events", "/threads"])
@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "1001", "١", "1e3", "+1", "9" * 4_400])
async def test_a_page_size_is_a_number(witness: Witness, path: str, limit: str) -> None:
    """Anything but a whole number up to 1,000 is a 422 that names the field and its bounds."""
    problem = await witness.refused(lambda: call(witness, "GET", path, params={"limit": limit}), 422, "invalid_request")

    assert [wrong["field"] for wrong in problem["errors"]] == ["limit"]
    assert "1000" in problem["detail"]


@pytest.mark.parametrize("after", ["-1", "x", "10000000000", "9" * 4_400])
async def test_a_place_in_the_feed_is_a_number(witness: Witness, after: str) -> None:
    """`after` is a sequence number; an event's id, say, is a 422."""
    problem = await witness.refused(
        lambda: call(witness, "GET", "/events", params={"after": after}), 422, "invalid_request"
    )

    assert [wrong["field"] for wrong in problem["errors"]] == ["after"]


@pytest.mark.parametrize("name", ["contact_id", "user_id", "after"])
@pytest.mark.parametrize(
    "odd", ["'", "' or RowKey ne '", "\u0000", "\u007f", "#?/\\", "x" * 3_000, "🙂", "\r\n", "~~~"]
)
async def test_threads_can_be_asked_for_with_any_text(witness: Witness, name: str, odd: str) -> None:
    """No text in the query breaks out of it: what matches nothing finds nothing."""
    answer = await call(witness, "GET", "/threads", params={name: odd})

    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"threads", "next_after"}
    if name != "after" or odd == "~~~":
        assert answer.json()["threads"] == []


# The body.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"7",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"subject": "\xff\xfe"}',
        '{"subject": "x"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"subject": "x"}',
        b'{"metadata": NaN}',
        b'{"metadata": {"x": Infinity}}',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"subject": "\\ud800"}',
    ],
    ids=lambda body: body[:24].decode(errors="replace"),
)
@pytest.mark.parametrize("path", ["/messages", "/users/dana/connection/sign-in", "/users/dana/connection/complete"])
async def test_a_body_is_a_json_object(witness: Witness, path: str, body: bytes) -> None:
    """Whatever cannot be read is a 400, the same on every route with a body."""
    await witness.refused(
        lambda: call(witness, "POST", path, key=unique("key"), content=body), 400, "malformed_request"
    )


@pytest.mark.parametrize("depth", [60, 400, 900, 2_000, 4_000])
async def test_metadata_may_not_be_a_well(witness: Witness, depth: int) -> None:
    """However deep it is nested, the answer is a problem that names the field, never an error of ours."""
    body = json.dumps(witness.user.mail()).removesuffix("}") + f', "metadata": {{"a": {"[" * depth + "]" * depth}}}}}'

    problem = await witness.refused(
        lambda: call(witness, "POST", "/messages", key=unique("key"), content=body.encode()), 422, "invalid_request"
    )

    assert [wrong["field"] for wrong in problem["errors"]] == ["metadata"]


async def test_metadata_holds_only_what_json_can(witness: Witness) -> None:
    """A number beyond all bounds would come back to the CRM as something that is not JSON."""
    body = json.dumps(witness.user.mail()).removesuffix("}") + ', "metadata": {"a": 1e999}}'

    problem = await witness.refused(
        lambda: call(witness, "POST", "/messages", key=unique("key"), content=body.encode()), 422, "invalid_request"
    )

    assert [wrong["field"] for wrong in problem["errors"]] == ["metadata"]


async def test_a_body_larger_than_any_send_is_not_read(witness: Witness) -> None:
    """More than 40 MiB: 413."""
    await witness.refused(
        lambda: call(witness, "POST", "/messages", key=unique("key"), content=b" " * (40 * 1024 * 1024 + 1)),
        413,
        "payload_too_large",
    )


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("sign-in", {}, ["return_url"]),
        ("sign-in", {"return_url": 7}, ["return_url"]),
        ("sign-in", {"return_url": None}, ["return_url"]),
        ("sign-in", {"return_url": "{return_url}", "expected_email": "no address"}, ["expected_email"]),
        ("sign-in", {"return_url": "{return_url}", "expectedEmail": "a@b.example"}, ["expectedEmail"]),
        ("complete", {}, ["completion_code"]),
        ("complete", {"completion_code": ["x"]}, ["completion_code"]),
        ("complete", {"completion_code": "x" * 201}, ["completion_code"]),
        ("complete", {"code": "x"}, ["completion_code", "code"]),
    ],
)
async def test_each_field_of_a_sign_in_is_checked(
    witness: Witness, path: str, body: dict[str, Any], fields: list[str]
) -> None:
    """Missing, of another type, misspelt: each is named."""
    asked = {name: witness.cloud.crm.return_url if value == "{return_url}" else value for name, value in body.items()}

    problem = await witness.refused(
        lambda: call(witness, "POST", f"/users/dana/connection/{path}", json=asked), 422, "invalid_request"
    )

    assert [wrong["field"] for wrong in problem["errors"]] == fields
    assert all(wrong["message"] for wrong in problem["errors"])


@pytest.mark.parametrize("erase", ["True", "1", "yes"])
async def test_an_erase_that_is_neither_true_nor_false_deletes_nothing(witness: Witness, erase: str) -> None:
    """A delete that leaves what was to be erased must not look like one that did not."""
    path = f"/users/{witness.user.user_id}/connection"
    problem = await witness.refused(
        lambda: call(witness, "DELETE", path, params={"erase": erase}), 422, "invalid_request"
    )

    assert [wrong["field"] for wrong in problem["errors"]] == ["erase"]
    assert (await call(witness, "GET", path)).json()["state"] == "connected"
