"""The controls under /_lab."""

import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.cloud.clock import Clock
from tests.cloud.directory import OUTLOOK_CLIENT_ID, Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import (
    SECRET,
    VERIFIER,
    authorize_path,
    code_for,
    new_refresh_token,
    redeem,
    refresh,
)
from tests.integration.entra.page import Page


async def test_users(browser: httpx.AsyncClient, directory: Directory) -> None:
    """A person added by the control is in the shared directory; adding them again changes them and keeps who they are."""
    body = {"email": "eva@contoso.example", "name": "Eva", "aliases": ["e@contoso.example"]}
    added = await browser.post("/_lab/users", json=body)
    changed = await browser.post("/_lab/users", json={**body, "name": "Eva K", "admin_consent_required": True})
    listed = (await browser.get("/_lab/users")).json()

    assert added.status_code == 201
    assert added.json() | {"name": "Eva K", "admin_consent_required": True} == changed.json()
    assert listed[-1] == changed.json()
    eva = directory.by_email("e@contoso.example")
    assert eva is not None
    assert (eva.oid, eva.tenant_id) == (changed.json()["oid"], changed.json()["tenant_id"])


async def test_token_for_outlook(browser: httpx.AsyncClient, directory: Directory) -> None:
    """The control's token is Outlook's own, with just the scopes asked for."""
    body = {"email": "ann@contoso.example", "scope": "Mail.ReadWrite Mail.Send"}
    answer = (await browser.post("/_lab/token", json=body)).json()

    token = directory.token(answer["access_token"])
    assert token is not None
    assert token.client_id == OUTLOOK_CLIENT_ID
    assert token.scopes == {"mail.readwrite", "mail.send"}


async def test_revoke(browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory) -> None:
    """Revoking kills that person's refresh tokens (50173) and nobody else's; access tokens only when told so."""
    ann = (await redeem(browser, await code_for(browser, entra))).json()
    bob = (await redeem(browser, await code_for(browser, entra, "bob@fabrikam.example"))).json()

    first = await browser.post("/_lab/revoke", json={"email": "ann@contoso.example"})
    refused = (await refresh(browser, ann["refresh_token"])).json()
    assert first.json() == {"refresh_tokens": 1}
    assert (refused["error"], refused["error_codes"], refused["suberror"]) == ("invalid_grant", [50173], "bad_token")
    assert directory.token(ann["access_token"]) is not None

    await browser.post("/_lab/revoke", json={"email": "ann@contoso.example", "access_tokens": True})
    assert directory.token(ann["access_token"]) is None
    assert directory.token(bob["access_token"]) is not None
    assert (await refresh(browser, bob["refresh_token"])).status_code == 200


async def test_planned_token_errors_count_down(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """A planned failure takes the calls of its grant, as often as planned, with its Retry-After."""
    token = await new_refresh_token(browser, entra)
    planned = {"error": "temporarily_unavailable", "error_codes": [90033], "status": 503, "retry_after": 7}
    await browser.post("/_lab/token-error", json={**planned, "grant_type": "refresh_token", "times": 2})
    code = await redeem(browser, await code_for(browser, entra))
    answers = [await refresh(browser, token) for _ in range(3)]

    assert code.status_code == 200
    assert [(a.status_code, a.headers.get("retry-after")) for a in answers] == [(503, "7"), (503, "7"), (200, None)]


async def test_requests_tell_when_and_how(browser: httpx.AsyncClient, entra: EntraEmulator, clock: Clock) -> None:
    """The log says when each request came, by the cloud's clock, and how it was refused if it was: pages and tokens alike."""
    begun = clock.now()
    clock.advance(3600)
    await redeem(browser, "guess")
    await redeem(browser, await code_for(browser, entra))
    await browser.get(authorize_path(redirect_uri="https://evil.example"))
    listed = (await browser.get("/_lab/requests")).json()

    assert [(r["status"], r["error"], r["error_code"]) for r in listed] == [
        (400, "invalid_grant", 70000),
        (200, None, None),
        (400, "invalid_request", 50011),
    ]
    for logged in listed:
        assert (datetime.fromisoformat(logged["at"]) - begun).total_seconds() >= 3600


async def test_requests_hide_secrets(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """The log names every request that is not a control, in order, without a secret in it."""
    code = await code_for(browser, entra)
    await browser.get(authorize_path())
    await redeem(browser, code)
    listed = (await browser.get("/_lab/requests")).json()

    assert [(r["method"], r["path"].rpartition("/")[2], r["status"]) for r in listed] == [
        ("GET", "authorize", 200),
        ("POST", "token", 200),
    ]
    assert listed[1]["form"]["grant_type"] == "authorization_code"
    assert not {SECRET, VERIFIER, code} & set(json.dumps(listed).split('"'))
    assert entra.token_calls == 1
    assert entra.requests[1].form["client_secret"] == "(hidden)"


async def test_reset(browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory) -> None:
    """After a reset nobody is there, nothing is remembered, the switches are as at first, and the app is still registered."""
    token = await new_refresh_token(browser, entra)
    entra.switches.strict_rotation = True
    await browser.post("/_lab/token-error", json={"error": "invalid_grant", "error_codes": [50173], "times": 1})

    assert (await browser.post("/_lab/reset")).status_code == 204

    assert directory.everyone() == []
    assert entra.requests == []
    assert entra.switches.strict_rotation is False
    assert (await refresh(browser, token)).json()["error_codes"] == [70000]
    directory.add("ann@contoso.example", "Ann Lee")
    assert (
        Page(await Page(await browser.get(authorize_path())).press(browser, "Ann")).heading == "Permissions requested"
    )


ANN = "ann@contoso.example"
AT_PAGE = {"email": ANN, "authorize_url": "{url}" + authorize_path(), "decision": "accept"}


@pytest.mark.parametrize(
    ("control", "body", "field"),
    [
        ("users", {"email": "no address", "name": "N"}, "email"),
        ("users", {"email": "a@b.example", "name": "N", "aliases": ["b"]}, "aliases.0"),
        ("users", {"email": "a@b.example", "name": "N", "alias": "x"}, "alias"),
        ("users", {"email": "a@b.example"}, "name"),
        ("users", {"email": "a@b.example", "name": "N", "code": "12a4"}, "code"),
        ("users", {"email": "a@b.example", "name": "N", "mailbox": "full"}, "mailbox"),
        ("users", [], ""),
        ("sign-in", {**AT_PAGE, "decision": "ok"}, "decision"),
        ("revoke", {"email": ANN, "access_tokens": 1}, "access_tokens"),
        ("trouble", {"email": ANN, "kind": "ill"}, "kind"),
        ("client-secret", {"state": "lost"}, "state"),
        ("token-error", {"error": "x", "error_codes": [], "times": 1}, "error_codes"),
        ("token-error", {"error": "x", "error_codes": [1], "times": True}, "times"),
        ("token-error", {"error": "x", "error_codes": [1], "times": 1, "grant_type": "password"}, "grant_type"),
        ("switches", {"strict_rotation": 1}, "strict_rotation"),
        ("switches", {"admin_consent_answer": "maybe"}, "admin_consent_answer"),
        ("switches", {"strict": True}, "strict"),
    ],
)
async def test_controls_name_the_wrong_field(browser: httpx.AsyncClient, control: str, body: Any, field: str) -> None:
    """A body that a control does not understand is a 400 that names the field."""
    response = await browser.post(f"/_lab/{control}", json=body)

    assert response.status_code == 400
    assert [wrong["field"] for wrong in response.json()["wrong"]] == [field]


@pytest.mark.parametrize(
    ("control", "body", "status", "says"),
    [
        (
            "sign-in",
            {**AT_PAGE, "authorize_url": "https://login.example/common/x"},
            400,
            "not an address of this emulator",
        ),
        ("sign-in", {**AT_PAGE, "authorize_url": "{url}/x/y/oauth2/v2.0/authorize"}, 400, "not an address"),
        ("sign-in", {**AT_PAGE, "authorize_url": "{url}/common/oauth2/v2.0/authorize"}, 400, "AADSTS900144"),
        ("sign-in", {**AT_PAGE, "email": "z@z.example"}, 404, "z@z.example"),
        ("token", {"email": ANN, "scope": "Mail.Raed"}, 400, "AADSTS650053"),
        ("token", {"email": "z@z.example", "scope": "Mail.Read"}, 404, "z@z.example"),
        ("revoke", {"email": "z@z.example"}, 404, "z@z.example"),
        ("trouble", {"email": "z@z.example", "kind": "mfa"}, 404, "z@z.example"),
    ],
)
async def test_controls_say_what_is_wrong(
    browser: httpx.AsyncClient, entra: EntraEmulator, control: str, body: Any, status: int, says: str
) -> None:
    """A control that is used wrongly does nothing and says why."""
    response = await browser.post(f"/_lab/{control}", content=json.dumps(body).replace("{url}", entra.url))

    assert response.status_code == status
    assert says in response.json()["error"]
