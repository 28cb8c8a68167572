"""The settings page and who may not: without its token, with another's, or with its token elsewhere, nothing is shown or done."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from sync.domain import settings_page as rule
from sync.domain.settings_page import Visit
from tests.e2e.account import Connected, Json
from tests.e2e.test_settings_page_api import ROOT, Page
from tests.e2e.witness import Everything, Witness, problem_of

#: What the page calls: method, path, body.
CALLS: list[tuple[str, str, Json | None]] = [
    ("GET", "connection", None),
    ("POST", "sign-in", {}),
    ("PUT", "default-sender", {"default_sender": "provider"}),
    ("DELETE", "connection", None),
]


def altered(token: str, **changes: str) -> str:
    """The token with its content changed, under the signature that it had."""
    payload, _, mac = token.partition(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "=="))
    content[0] = changes.get("account_id", content[0])
    content[1] = changes.get("user_id", content[1])
    forged = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"{forged}.{mac}"


def key_of(witness: Witness) -> bytes:
    """The key that the app signs with."""
    return base64.b64decode(witness.cloud.app_settings["SIGNING_KEYS"])


def issued(witness: Witness, *, ago: timedelta = timedelta(), key: bytes | None = None) -> str:
    """A token for the connected user, as the app makes them, that was good for an hour from so long ago on."""
    visit = Visit(witness.user.account_id, witness.user.user_id, witness.cloud.crm.return_url)
    return rule.issue(visit, datetime.now(UTC) - ago + rule.LINK_LIFETIME, key or key_of(witness))


#: By what is wrong with it: the headers that somebody proves themselves with.
WRONG: dict[str, Callable[[Witness], dict[str, str]]] = {
    "nothing": lambda _: {},
    "empty": lambda _: {"Authorization": "Bearer"},
    "not a token": lambda _: {"Authorization": "Bearer x"},
    "only a dot": lambda _: {"Authorization": "Bearer ."},
    "not ASCII": lambda _: {"Authorization": b"Bearer \xc3\xbc.\xc3\xbc".decode("latin-1")},
    "endless": lambda _: {"Authorization": "Bearer " + "x" * 4_000},
    "signature cut off": lambda w: {"Authorization": "Bearer " + issued(w).partition(".")[0] + "."},
    "signature altered": lambda w: {"Authorization": "Bearer " + issued(w)[:-2] + "xx"},
    "of another user": lambda w: {"Authorization": "Bearer " + altered(issued(w), user_id="mallory")},
    "of another account": lambda w: {"Authorization": "Bearer " + altered(issued(w), account_id="evil")},
    "of another key": lambda w: {"Authorization": "Bearer " + issued(w, key=b"\0" * 32)},
    "expired": lambda w: {"Authorization": "Bearer " + issued(w, ago=timedelta(hours=1))},
    "as a cookie": lambda w: {"Cookie": f"token={issued(w)}"},
    "as basic": lambda w: {"Authorization": "Basic " + issued(w)},
    "as the function key": lambda w: {"x-functions-key": issued(w)},
    "the function key": lambda w: {"Authorization": f"Bearer {w.cloud.function_key}"},
    "the function key as itself": lambda w: {"x-functions-key": w.cloud.function_key},
}


@pytest.mark.parametrize("what", WRONG)
async def test_without_the_right_token_nothing_is_shown_or_done(witness: Witness, what: str) -> None:
    """401 in the same words for each, which name nobody, and nothing anywhere has changed."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in WRONG[what](witness).items()]
    root = witness.cloud.functions_url + ROOT

    async def look() -> tuple[Everything, list[httpx.Response], Everything]:
        before = await witness.everything()
        answers = [
            await witness.http.request(method, f"{root}/{path}", headers=headers, json=body)
            for method, path, body in CALLS
        ]
        return before, answers, await witness.everything()

    before, answers, after = await witness.undisturbed(look)
    assert after == before
    problems = [problem_of(answer) for answer in answers]
    assert {(problem["status"], problem["code"]) for problem in problems} == {(401, "settings_page_expired")}
    assert len({problem["detail"] for problem in problems}) == 1
    user = witness.user
    assert not any(word in answer.text for word in (user.user_id, user.account_id, user.email) for answer in answers)


async def test_the_right_token_is_right(witness: Witness) -> None:
    """So that the refusals above are for what is wrong with those."""
    headers = {"Authorization": f"Bearer {issued(witness)}"}

    answer = await witness.http.get(f"{witness.cloud.functions_url}{ROOT}/connection", headers=headers)

    assert (answer.status_code, answer.json()["connection"]["email"]) == (200, witness.user.email)


async def test_the_pages_token_opens_nothing_of_the_crms_api(connected: Connected) -> None:
    """Whoever has the page has one user's settings, and not the CRM's key."""
    token = (await Page.opened(connected, connected.user_id)).token
    user = f"{connected.cloud.functions_url}/v1/accounts/{connected.account_id}/users/{connected.user_id}"
    proofs = [{"Authorization": f"Bearer {token}"}, {"x-functions-key": token}]

    answers = [
        await connected.http.request(method, url, headers=proof, json={})
        for proof in proofs
        for method, url in [
            ("GET", f"{user}/connection"),
            ("DELETE", f"{user}/connection"),
            ("POST", f"{user}/connection/sign-in"),
            ("POST", f"{user}/connection/complete"),
            ("POST", f"{user}/settings-page"),
            ("GET", f"{connected.cloud.functions_url}/v1/accounts/{connected.account_id}/events"),
        ]
    ]

    assert {(answer.status_code, answer.content) for answer in answers} == {(401, b"")}
    assert (await connected.api.connection(connected.user_id)).json()["state"] == "connected"


async def test_a_token_is_for_the_settings_page_alone(connected: Connected) -> None:
    """Made with the same key as other things of the app, it is none of them: no link, no state, no word of Graph's."""
    token = (await Page.opened(connected, connected.user_id)).token
    root = connected.cloud.functions_url

    assert (await connected.http.get(f"{root}/connect/{token}")).status_code == 400
    assert (await connected.http.get(f"{root}/oauth/callback", params={"state": token, "code": "x"})).status_code == 400
    [subscription] = await connected.subscriptions(connected.email)
    headers = {"Authorization": f"Bearer {subscription['clientState']}"}
    assert (await connected.http.get(f"{root}{ROOT}/connection", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed_request"),
        (b"{", 400, "malformed_request"),
        (b"[]", 400, "malformed_request"),
        (b"\xff", 400, "malformed_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"default_sender": "smtp"}', 422, "invalid_request"),
        (b'{"default_sender": "provider", "user_id": "somebody"}', 422, "invalid_request"),
    ],
)
async def test_what_is_no_choice_changes_nothing(witness: Witness, content: bytes, status: int, code: str) -> None:
    """With the right token, too; the refusal is a problem document, as everywhere."""
    headers = {"Authorization": f"Bearer {issued(witness)}"}
    url = f"{witness.cloud.functions_url}{ROOT}/default-sender"

    await witness.refused(lambda: witness.http.put(url, content=content, headers=headers), status, code)


async def test_other_methods_are_not_there(witness: Witness) -> None:
    """Also none by which a form or an image of another site could call them."""
    headers = {"Authorization": f"Bearer {issued(witness)}"}
    root = witness.cloud.functions_url + ROOT
    wrong = [
        ("POST", "/connection"),
        ("PUT", "/connection"),
        ("GET", "/sign-in"),
        ("POST", "/default-sender"),
        ("DELETE", ""),
    ]

    answers = [await witness.http.request(method, root + path, headers=headers) for method, path in wrong]

    assert {answer.status_code for answer in answers} == {404}


async def test_no_other_site_may_read_an_answer(connected: Connected) -> None:
    """No CORS header, and no preflight is answered: the page calls its own origin alone."""
    page = await Page.opened(connected, connected.user_id)
    origin = {"Origin": "https://evil.example", "Authorization": f"Bearer {page.token}"}
    asks = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    root = connected.cloud.functions_url + ROOT

    answers = [
        await connected.http.get(root, headers=origin),
        await connected.http.get(f"{root}/connection", headers=origin),
        await connected.http.get(f"{connected.cloud.functions_url}/settings/assets/email.js", headers=origin),
        await connected.http.options(f"{root}/connection", headers=origin | asks),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control-")]
    assert not [answer for answer in answers if "set-cookie" in answer.headers]
