"""
Nothing of people, their mail, or our secrets is in what the app writes: its log, the host's log, spans and metrics.

A life with troubles is played in which everything that must not be written is a word of its own (a canary): names and
addresses, subjects, bodies, files, passwords, tokens, codes, keys. Neighbours say them in their errors, as real ones do. Then
all that was written is searched.
"""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from sync.jobs import RedeliverEvents
from tests.cloud.certificates import notification_certificate
from tests.cloud.smtp import Reply
from tests.cloud.stage import attached
from tests.e2e.account import Json, unique
from tests.e2e.batches import provider
from tests.e2e.conversation import answers, arrives, fault
from tests.e2e.life import trouble
from tests.e2e.test_notifications_edge import LIFECYCLE, NOTIFICATIONS, change, client_state, lifecycle
from tests.e2e.watched import Watched, watched_cloud
from tests.files import png


class Canaries:
    """Words that must not be written, each by what it stands for."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def new(self, what: str) -> str:
        """A word that nobody else has; letters only, so that it stays itself in an address, a file name, a header."""
        word = "canary" + "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(14))
        self.words[what] = word
        return word

    def take(self, what: str, value: str) -> str:
        """A value that others made."""
        assert len(value) >= 12, f"{what} is too short to be looked for"
        self.words[what] = value
        return value


def forms(word: str) -> Iterator[bytes]:
    """How a word can look where it is written: as it is, in another case, in an address, in base64 at any place, in hex."""
    for text in (word, word.lower(), word.upper(), quote(word, safe=""), json.dumps(word)[1:-1]):
        yield text.encode()
    yield word.encode().hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + word.encode() + b"x" * 3)
        yield encoded[4:-8] if shift else encoded[:-8]


def found(word: str, written: bytes) -> bool:
    """Whether a word is in there in any of its forms."""
    return any(form in written for form in forms(word))


#: Notifications that hold ids alone, and such that carry keys and addresses, encrypted.
MODES = {"basic": {}, "rich": {"NOTIFICATION_MODE": "rich", "NOTIFICATION_CERTIFICATES": notification_certificate()}}


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=MODES)
async def played(http: httpx.AsyncClient, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Watched, Canaries]]:
    """The cloud after the life with troubles, everything exported."""
    canaries = Canaries()
    settings = MODES[request.param]
    async with watched_cloud(http, f"Dana {canaries.new('the name of the user')}", **settings) as watched:
        cloud = watched.cloud
        for number, line in enumerate(settings.get("NOTIFICATION_CERTIFICATES", "").splitlines()):
            if len(line) >= 12 and not line.startswith("-----"):
                canaries.take(f"line {number} of NOTIFICATION_CERTIFICATES", line)
        for name in ("ENTRA_CLIENT_SECRET", "CRM_WEBHOOK_SECRETS", "ENCRYPTION_KEYS", "SIGNING_KEYS"):
            canaries.take(name, cloud.app_settings[name].removeprefix("whsec_"))
        canaries.take("the function key", cloud.function_key)
        canaries.take("the address of the mailbox", watched.user.email)
        canaries.take("a clientState", await client_state(watched.user))
        offer = await mail_comes_and_goes(watched, canaries)
        await graph_fails(watched, canaries, offer)
        await the_crm_fails(watched, canaries)
        await the_provider_fails(watched, canaries)
        await strangers_post(watched, canaries)
        await sign_ins_fail(watched, canaries, offer)
        await work_fails(watched, canaries)
        for token in list(cloud.directory._tokens):
            canaries.take(f"access token {len(canaries.words)}", token)
        for name in ("timer_sweep", "timer_queue_gauges", "timer_mailbox_gauges", "timer_poison", "timer_remove_old"):
            await watched.run_timer(name)
        await watched.user.stage.quiet()
        await watched.exported()
        yield watched, canaries


def contact(canaries: Canaries) -> tuple[str, Json]:
    """Somebody outside: the address, and the recipient of a send."""
    address = f"{canaries.new('the address of a contact')}@customer.example"
    return address, {"address": address, "name": canaries.new("the name of a contact"), "contact_id": "contact-1"}


def letter(watched: Watched, canaries: Canaries, to: Json) -> Json:
    """A send body in which everything is a canary."""
    return watched.user.mail(
        to=[to],
        cc=[{"address": f"{canaries.new('an address in cc')}@customer.example"}],
        bcc=[{"address": f"{canaries.new('an address in bcc')}@customer.example"}],
        subject=f"Offer {canaries.new('a subject')}",
        html=f"<p>{canaries.new('an html body')}</p>",
        text=canaries.new("a text body"),
        metadata={"note": canaries.new("metadata")},
        attachments=[attached(f"{canaries.new('the name of a sent file')}.png", "image/png", png())],
    )


async def mail_comes_and_goes(watched: Watched, canaries: Canaries) -> Json:
    """An email, which is returned, its answer with files of both kinds, mail that is nobody's business, and looking at all."""
    user = watched.user
    address, to = contact(canaries)
    offer = await user.sent(**letter(watched, canaries, to))
    files = [
        attached(f"{canaries.new('the name of a received file')}.png", "image/png", png()),
        attached(f"{canaries.new('the name of a skipped file')}.exe", "application/octet-stream", b"MZ"),
    ]
    answer = await answers(user, offer, address, canaries.new("the body of an answer"), attachments=files)
    canaries.take("the Message-ID of an answer", answer.internet_message_id)
    await user.heard("message.synced")
    stranger = f"{canaries.new('the address of a stranger')}@elsewhere.example"
    await arrives(user, stranger, canaries.new("a private subject"), canaries.new("a private body"))
    await user.stage.quiet()
    assert (await user.api.explain(user.user_id, answer.internet_message_id)).status_code == 200
    assert (await user.api.message(offer["message_id"])).status_code == 200
    return offer


async def graph_fails(watched: Watched, canaries: Canaries, offer: Json) -> None:
    """Graph says no in words that name people and mail, with a code that holds an address, and cuts connections."""
    user = watched.user
    # First, while nothing else asks: in both modes the question about an answer in a thread is the one that is refused.
    await fault(user, "GET */me/messages/*", status=403, code="ErrorAccessDenied", message=canaries.new("a refusal"))
    await answers(user, offer, text=canaries.new("the body of mail that is refused"))
    await user.stage.quiet()
    _, to = contact(canaries)
    answered: list[tuple[str, Json]] = [
        ("POST */send", {"status": 403, "code": "ErrorSendAsDenied"}),
        ("POST */me/messages", {"status": 400, "code": f"{canaries.new('a code of Graph')}@x.example"}),
        ("POST */me/messages", {"status": 500}),
        ("POST */me/messages", {"drop": True}),
    ]
    for step, (match, what) in enumerate(answered):
        said = {} if "drop" in what else {"message": f"{to['address']}: {canaries.new(f'words of Graph {step}')}"}
        await fault(user, match, **what, **said)
        await user.api.send(letter(watched, canaries, to), unique("key"))
    await user.stage.quiet()


async def the_crm_fails(watched: Watched, canaries: Canaries) -> None:
    """The CRM answers errors with all that it was told."""
    user = watched.user
    for status in (500, 400, 302):
        script = {"status": status, "account_id": user.account_id, "echo": True}
        await user.stage.lab("POST", f"{watched.cloud.crm.url}/_lab/answer", script)
        _, to = contact(canaries)
        await user.sent(**letter(watched, canaries, to))
    canaries.take("the idempotency key of a send", key := unique("idempotency"))
    await user.api.send(letter(watched, canaries, contact(canaries)[1]), key)
    await user.stage.quiet()


async def the_provider_fails(watched: Watched, canaries: Canaries) -> None:
    """The provider's server refuses the login, then a recipient, naming both."""
    user, smtp = watched.user, watched.cloud.smtp
    login = {"username": canaries.new("the user name at the provider"), "password": canaries.new("the SMTP password")}
    smtp.script(Reply(command="AUTH", reply=f"535 5.7.8 {login['username']} {login['password']} is wrong"))
    assert (await user.api.put_provider(provider(user, **login))).status_code == 422
    assert (await user.api.put_provider(provider(user, **login))).status_code == 200
    _, to = contact(canaries)
    smtp.script(Reply(command="RCPT", reply=f"550 5.1.1 {canaries.new('words of a server')}", recipient=to["address"]))
    body = letter(watched, canaries, to) | {"kind": "workflow", "cc": [], "bcc": []}
    assert (await user.api.send(body, unique("key"))).status_code == 202
    await user.heard("message.failed")
    await user.stage.quiet()


async def strangers_post(watched: Watched, canaries: Canaries) -> None:
    """Posts with wrong words, no JSON, and calls with wrong keys and bodies."""
    http, url = watched.user.http, watched.cloud.functions_url
    forged = f"con_1.{canaries.new('a forged clientState')}"
    for path, item in ((NOTIFICATIONS, change(forged)), (LIFECYCLE, lifecycle(forged))):
        await http.post(url + path, json={"value": [item]})
        await http.post(url + path, content=canaries.new(f"what is no JSON at {path}").encode())
        await http.post(f"{url}{path}?validationToken={canaries.new(f'a validation token at {path}')}")
    await http.get(f"{url}/v1/status", headers={"x-functions-key": canaries.new("a wrong function key")})
    await watched.user.api.send({"kind": canaries.new("a wrong field")}, unique("key"))
    await watched.user.api.explain(watched.user.user_id, f"<{canaries.new('an unknown Message-ID')}@x.example>")
    await watched.user.api.message(canaries.new("an unknown id"))


async def sign_ins_fail(watched: Watched, canaries: Canaries, offer: Json) -> None:
    """Links and callbacks that lead nowhere, a code that is refused, and a sign-in that ends."""
    user, url = watched.user, watched.cloud.functions_url
    link = await user.sign_in_link(unique("erin"), f"{canaries.new('an expected address')}@customer.example")
    canaries.take("the token of a sign-in link", link.rpartition("/")[2])
    await user.http.get(f"{url}/connect/{canaries.new('a wrong link')}")
    query = {"code": canaries.new("a wrong code"), "state": canaries.new("a wrong state")}
    await user.http.get(f"{url}/oauth/callback", params=query)
    person = user.new_person(canaries.new("the name of another user"))
    another = unique("erin")
    code = await user.completion_code(another, person.email)
    canaries.take("a completion code", code)
    canaries.take("the address of another user", person.email)
    assert (await user.api.complete(another, canaries.new("a wrong completion code"))).status_code == 404
    assert (await user.api.complete(another, code)).status_code == 200
    page = (await user.api.settings_page(another, watched.cloud.crm.return_url)).json()["url"]
    canaries.take("the token of a settings page", page.partition("#")[2].partition("=")[2])
    await trouble(user, "password_expired")
    await answers(user, offer, f"{canaries.new('an address after the end')}@customer.example")
    await user.stage.quiet()


async def work_fails(watched: Watched, canaries: Canaries) -> None:
    """Messages in every queue that hold no job, and one that makes the standard library repeat it in its error."""
    redeliver = RedeliverEvents("acme", 0, 9, canaries.new("what is no time"), 0).to_json()
    functions = {name for name, _ in watched.cloud.functions.traceparents if name.startswith("queue_")}
    for name in functions | {"queue_crm_redelivery"}:
        wrong = (canaries.new(f"no job for {name}"), json.dumps({canaries.new(f"a wrong job for {name}"): 1}))
        for text in (*wrong, *((redeliver,) if name == "queue_crm_redelivery" else ())):
            answer = await watched.user.http.post(
                f"{watched.cloud.functions_url}/admin/functions/{name}",
                json={"input": text},
                headers={"x-functions-key": watched.cloud.functions.master_key},
            )
            assert answer.status_code == 202, answer.text
    await watched.cloud.functions.idle()


def written(watched: Watched) -> dict[str, bytes]:
    """All that was written, by where it went."""
    return {
        "the log": watched.cloud.functions.log_path.read_bytes(),
        "what was exported": b"\n".join(watched.collector.raw),
    }


async def test_nothing_personal_is_written(played: tuple[Watched, Canaries]) -> None:
    """No canary is in the log of the worker and the host, in a span, or in a metric, in any form."""
    watched, canaries = played
    everything = written(watched)
    leaks = {
        f"{what} is in {where}": _around(word, text)
        for what, word in canaries.words.items()
        for where, text in everything.items()
        if found(word, text)
    }
    assert not leaks, "\n".join(f"{place}: {text!r}" for place, text in leaks.items())
    assert len(canaries.words) > 60


async def test_what_was_played_has_failed_and_was_written_about(played: tuple[Watched, Canaries]) -> None:
    """The search looked at something: failures of every kind are in the log, by ids and codes, and spans were exported."""
    watched, _ = played
    log = written(watched)["the log"].decode()
    assert "WorkFailed: ValueError at " in log
    for words in ("Graph said no", "work failed: ", "delivery failed", "email not sent", "forged", "WorkFailed: "):
        assert words in log, words
    assert "code=ErrorSendAsDenied" in log
    assert f"connection_id={watched.user.connection_id}" in log
    assert watched.cloud.functions.failures
    assert {span.name for span in watched.collector.spans if span.failed} >= {
        "POST /{webhook}",
        "POST /v1.0/me/messages",
    }
    assert any(point.name == "sync.graph.requests" for point in watched.collector.points)


async def test_addresses_of_calls_name_nothing(played: tuple[Watched, Canaries]) -> None:
    """A span of a call tells method, host and the shape of the path: no query, no id."""
    watched, _ = played
    for span in watched.collector.spans:
        if span.kind == "client":
            assert span.attributes.keys() <= {
                *("http.request.method", "url.template", "url.full", "url.scheme"),
                *("server.address", "server.port"),
                *("http.response.status_code", "error.type"),
            }
            assert span.attributes["url.full"].endswith(span.attributes["url.template"])
            assert len(span.attributes["url.template"]) < 80


def test_the_search_is_sharp() -> None:
    """It sees a word in another case, encoded, or in base64 at any place."""
    word = "canarybcdfghjklmnpqrst"
    for text in (word, word.upper(), f"x{word}y", word.encode().hex()):
        assert found(word, text.encode())
    for before in ("", "a", "ab", "abc", "abcd"):
        assert found(word, base64.b64encode(f"{before}{word}{before}".encode()))
    assert not found(word, b"canary")


def _around(word: str, text: bytes) -> str:
    """The place of the leak, for whoever has to find it."""
    for form in forms(word):
        if (at := text.find(form)) >= 0:
            return text[max(0, at - 200) : at + 100].decode(errors="replace")
    return ""
