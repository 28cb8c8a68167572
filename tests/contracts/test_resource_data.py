"""
What rich notifications carry: the real adapter on what the Graph emulator encrypted, and proven by the Entra ID emulator's keys.

The promise: what is opened is what the mailbox would have answered, to the last key; and whatever was changed, forged, or is of
somebody else is not used.
"""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from sync.adapters.certificates import NotificationCertificates
from sync.adapters.entra_keys import KEPT_FOR, NOT_AGAIN_BEFORE, EntraKeys
from sync.adapters.graph_client import GraphClient
from sync.adapters.graph_mail import GraphMail
from sync.adapters.graph_shapes import STAMP
from sync.adapters.graph_subscriptions import GraphSubscriptions
from sync.adapters.resource_data import PUBLISHER, GraphResourceData
from sync.domain.connection import Connection
from sync.domain.encrypted_content import EncryptedContent, Reason, Unusable
from sync.domain.notification import client_state, read_changes
from sync.domain.subscription import RICH_MAX_LIFETIME
from tests.cloud.certificates import notification_certificate
from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.cloud.entra.keys import process_key
from tests.cloud.graph import GraphEmulator
from tests.cloud.graph.subscriptions.rich import seal
from tests.cloud.polling import eventually
from tests.cloud.server import Server
from tests.contracts.graph_stages import DANA, DirectoryTokens
from tests.contracts.values import connection
from tests.fakes.clock import FakeClock

CLIENT_ID = "our app"
KEY = b"k" * 32
PEM, OTHER_PEM = notification_certificate(), notification_certificate()
Change = Callable[["Stage", EncryptedContent], EncryptedContent]


@dataclass
class Stage:
    """Dana's mailbox, watched by a rich subscription. `posts`: what Graph has posted, in order."""

    graph: GraphEmulator
    entra: EntraEmulator
    http: httpx.AsyncClient
    mail: GraphMail
    dana: Connection
    token: str
    clock: FakeClock
    keys: EntraKeys
    posts: list[bytes] = field(default_factory=list)

    def opening(self, pem: str = PEM, client_id: str = CLIENT_ID) -> GraphResourceData:
        """What opens it, for an app with these certificates and this id."""
        return GraphResourceData(NotificationCertificates(pem), self.keys, client_id)

    async def lab(self, path: str, body: dict[str, Any]) -> Any:
        """A control of Graph."""
        answer = await self.http.post(f"{self.graph.url}/_lab{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def as_dana(self, method: str, path: str, body: Any = None) -> Any:
        """A call of Dana's own mail program."""
        headers = {"Authorization": f"Bearer {self.token}", "Prefer": 'IdType="ImmutableId"'}
        answer = await self.http.request(method, f"{self.graph.url}/v1.0{path}", headers=headers, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def arrives(self, **more: Any) -> tuple[str, EncryptedContent]:
        """Mail from outside: its id, and what came along with the notification of it."""
        mail = {"to": DANA, "from": "ada@customer.example", "subject": "Offer", "text": "Gladly."} | more
        graph_id = (await self.lab("/mail", mail))["id"]
        return graph_id, await self.told_of(graph_id)

    async def told_of(self, graph_id: str) -> EncryptedContent:
        """What came along when Graph last told of this message."""

        async def look() -> EncryptedContent | None:
            told = [read_changes(post, [KEY]).carried for post in self.posts]
            return next((found[pair] for found in reversed(told) for pair in found if pair[1] == graph_id), None)

        return await eventually(look, f"a notification of {graph_id}", pause=0.01)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Both emulators, an address that takes what is posted, and an open subscription."""
    clock = Clock()
    directory = Directory(clock)
    entra = EntraEmulator(directory, clock)
    graph = GraphEmulator(directory, clock, sign_token=entra.sign_for_tenant)
    posts: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        if "validationToken" in request.query:
            return web.Response(text=request.query["validationToken"])
        posts.append(await request.read())
        return web.Response(status=202)

    app = web.Application()
    for path in ("/graph/notifications", "/graph/lifecycle"):
        app.router.add_post(path, take)
    server = Server(app)
    person = directory.add(DANA, "Dana Doe", [])
    scopes = frozenset({"User.Read", "Mail.ReadWrite", "Mail.Send"})
    token = directory.issue_token(person, scopes, CLIENT_ID).value
    mailbox = replace(connection().mailbox, object_id=person.oid, email=person.email, tenant_id=person.tenant_id)
    dana = connection("con_dana", mailbox=mailbox)
    for part in (server, entra, graph):
        await part.start()
    try:
        async with httpx.AsyncClient() as http:
            client = GraphClient(http, f"{graph.url}/v1.0", DirectoryTokens({"con_dana": token}))
            subscriptions = GraphSubscriptions(client, server.url, RICH_MAX_LIFETIME, NotificationCertificates(PEM))
            word = client_state("con_dana", KEY)
            await subscriptions.open(dana, client_state=word, now=datetime.now(UTC))
            own_clock = FakeClock(datetime.now(UTC))
            keys = EntraKeys(http, f"{entra.url}/organizations", own_clock)
            yield Stage(graph, entra, http, GraphMail(client), dana, token, own_clock, keys, posts)
    finally:
        for part in (graph, entra, server):
            await part.stop()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


async def _outside(stage: Stage) -> str:
    return (await stage.arrives())[0]


async def _reply(stage: Stage) -> str:
    more = {"in_reply_to": "<first@crm.example>", "references": ["<zero@crm.example>", "<first@crm.example>"]}
    return (await stage.arrives(subject="RE: Größe 📎", html="<p>Yes</p>", **more))[0]


async def _draft(stage: Stage) -> str:
    properties = [{"id": STAMP, "value": "msg_1"}]
    draft = {"subject": "Draft", "singleValueExtendedProperties": properties}
    draft["toRecipients"] = [{"emailAddress": {"address": "ada@customer.example", "name": "Ada"}}]
    return str((await stage.as_dana("POST", "/me/messages", draft))["id"])


async def _sent(stage: Stage) -> str:
    graph_id = await _draft(stage)
    await stage.told_of(graph_id)
    before = len(stage.posts)
    await stage.as_dana("POST", f"/me/messages/{graph_id}/send")
    await stage.graph.transport.settled()

    async def told() -> bool:
        return any(pair[1] == graph_id for post in stage.posts[before:] for pair in read_changes(post, [KEY]).changed)

    await eventually(told, "the copy in Sent Items")
    return graph_id


async def _report(stage: Stage) -> str:
    graph_id = await _sent(stage)
    sent = await stage.mail.keys(stage.dana, graph_id)
    about = {"internet_message_id": sent.keys.internet_message_id, "address": "ada@customer.example"}
    return str((await stage.lab("/bounce", {"mailbox": DANA} | about))["id"])


@pytest.mark.parametrize("make", [_outside, _reply, _draft, _sent, _report])
async def test_what_is_opened_is_what_the_mailbox_would_answer(stage: Stage, make: Any) -> None:
    """Mail from outside, an answer, a draft, the CRM's email in Sent Items with its stamp, a report: the same value."""
    graph_id = await make(stage)
    content = await stage.told_of(graph_id)
    opened = await stage.opening().message(stage.dana, graph_id, content.to_text())
    assert opened == await stage.mail.keys(stage.dana, graph_id)
    assert opened.stamp == ("msg_1" if make in (_draft, _sent) else "")


async def test_nothing_that_the_message_says_comes_along(stage: Stage) -> None:
    """Not even encrypted: neither its text nor the beginning of it is asked for."""
    graph_id, content = await stage.arrives(text="Our secret plan")
    (held,) = stage.graph.subscriptions.registry.live()
    assert held.rich is not None
    asked = held.rich.options["$select"].split(",")
    assert not {"body", "uniqueBody", "bodyPreview"} & set(asked)
    opened = await stage.opening().message(stage.dana, graph_id, content.to_text())
    assert "plan" not in repr(opened)


def _flipped(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def _resigned(**changes: Any) -> Change:
    """The token with other claims, signed by Entra ID; None leaves one out."""

    def change(_stage: Stage, content: EncryptedContent) -> EncryptedContent:
        claims = jwt.decode(content.validation_token, options={"verify_signature": False}) | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return replace(content, validation_token=process_key().sign(kept))

    return change


def _signed_by_somebody(key_id: str | None) -> Change:
    def change(_stage: Stage, content: EncryptedContent) -> EncryptedContent:
        claims = jwt.decode(content.validation_token, options={"verify_signature": False})
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        headers = {"kid": key_id} if key_id else {}
        return replace(content, validation_token=jwt.encode(claims, key, "RS256", headers=headers))

    return change


def _unsigned(_stage: Stage, content: EncryptedContent) -> EncryptedContent:
    claims = jwt.decode(content.validation_token, options={"verify_signature": False})
    token = jwt.encode(claims, "", "none", headers={"kid": process_key().kid})
    return replace(content, validation_token=token)


def _of_another_tenant(stage: Stage, content: EncryptedContent) -> EncryptedContent:
    other = "99999999-0000-4000-8000-000000000009"
    claims = jwt.decode(content.validation_token, options={"verify_signature": False})
    claims |= {"tid": other, "iss": f"{stage.entra.url}/{other}/v2.0"}
    return replace(content, tenant_id=other, validation_token=process_key().sign(claims))


PAST = int((datetime.now(UTC) - timedelta(hours=2)).timestamp())
SPOILED: dict[str, tuple[Reason, Change]] = {
    "data changed": ("undecryptable", lambda _, c: replace(c, data=_flipped(c.data))),
    "signature changed": ("undecryptable", lambda _, c: replace(c, data_signature=_flipped(c.data_signature))),
    "key changed": ("undecryptable", lambda _, c: replace(c, data_key=_flipped(c.data_key))),
    "data cut off": ("undecryptable", lambda _, c: replace(c, data=c.data[:24])),
    "no base64": ("undecryptable", lambda _, c: replace(c, data="!" + c.data)),
    "certificate of nobody": ("undecryptable", lambda _, c: replace(c, certificate_id="0" * 32)),
    "another's tenant": ("unproven", _of_another_tenant),
    "token of another tenant": ("unproven", _resigned(tid="99999999-0000-4000-8000-000000000009")),
    "issuer of another tenant": ("unproven", _resigned(iss="https://login.example/organizations/v2.0")),
    "token for another app": ("unproven", _resigned(aud="their app")),
    "token of another publisher": ("unproven", _resigned(azp="00000000-0000-4000-8000-000000000000")),
    "token of no publisher": ("unproven", _resigned(azp=None)),
    "publisher of the other version": ("unproven", _resigned(azp=None, appid=PUBLISHER)),
    "token that has ended": ("unproven", _resigned(exp=PAST)),
    "token without an end": ("unproven", _resigned(exp=None)),
    "token without a tenant": ("unproven", _resigned(tid=None)),
    "signed by somebody": ("unproven", _signed_by_somebody(process_key().kid)),
    "signed with an unknown key": ("unproven", _signed_by_somebody("unknown")),
    "signed with an unnamed key": ("unproven", _signed_by_somebody(None)),
    "not signed": ("unproven", _unsigned),
    "no token": ("unproven", lambda _, c: replace(c, validation_token="x")),
}


async def test_what_was_spoiled_is_not_used(stage: Stage) -> None:
    """Each by its reason; and the same, unspoiled, is."""
    graph_id, content = await stage.arrives()
    opening = stage.opening()
    outcomes: dict[str, str] = {}
    for name, (_, spoil) in SPOILED.items():
        try:
            outcomes[name] = (await opening.message(stage.dana, graph_id, spoil(stage, content).to_text())).subject
        except Unusable as unusable:
            outcomes[name] = unusable.reason
    assert outcomes == {name: reason for name, (reason, _) in SPOILED.items()}
    assert (await opening.message(stage.dana, graph_id, content.to_text())).subject == "Offer"


async def test_a_token_of_version_1_is_believed(stage: Stage) -> None:
    """It names its publisher and its issuer in another way; which version comes depends on the app's registration."""
    graph_id, content = await stage.arrives()
    tenant = content.tenant_id
    first = _resigned(ver="1.0", iss=f"https://sts.windows.net/{tenant}/", azp=None, appid=PUBLISHER)
    opened = await stage.opening().message(stage.dana, graph_id, first(stage, content).to_text())
    assert opened.subject == "Offer"


async def test_a_certificate_is_good_until_it_is_taken_away(stage: Stage) -> None:
    """Behind a newer one it still opens; without it nothing does, and none that can't be read breaks the app."""
    graph_id, content = await stage.arrives()
    opened = await stage.opening(OTHER_PEM + PEM).message(stage.dana, graph_id, content.to_text())
    assert opened.subject == "Offer"
    for pem in (OTHER_PEM, "nothing"):
        with pytest.raises(Unusable, match="undecryptable"):
            await stage.opening(pem).message(stage.dana, graph_id, content.to_text())


async def test_without_headers_only_mail_of_ones_own_is_whole(stage: Stage) -> None:
    """(?) They tell an automatic answer from a person's: where Graph leaves them out, the mailbox is asked for other mail."""
    await stage.lab("/switches", {"rich_headers": False})
    graph_id, content = await stage.arrives()
    with pytest.raises(Unusable, match="incomplete"):
        await stage.opening().message(stage.dana, graph_id, content.to_text())
    for make in (_draft, _sent):
        own = await make(stage)
        opened = await stage.opening().message(stage.dana, own, (await stage.told_of(own)).to_text())
        assert opened == await stage.mail.keys(stage.dana, own)


SHOWING_TOO_LITTLE: dict[bytes, Reason] = {
    b"not json": "undecryptable",
    b"\xff": "undecryptable",
    b"[" * 100_000: "undecryptable",
    b"[]": "incomplete",
    b'"text"': "incomplete",
    b"{}": "incomplete",
    b'{"isDraft":false}': "incomplete",
}


async def test_what_shows_too_little_is_not_used(stage: Stage) -> None:
    """Genuine, but not what was asked for."""
    graph_id, content = await stage.arrives()
    (held,) = stage.graph.subscriptions.registry.live()
    assert held.rich is not None
    outcomes: dict[bytes, str] = {}
    for shown in SHOWING_TOO_LITTLE:
        sealed = seal(held.rich.public_key, shown)
        changed = replace(
            content, data=sealed["data"], data_signature=sealed["dataSignature"], data_key=sealed["dataKey"]
        )
        with pytest.raises(Unusable) as told:
            await stage.opening().message(stage.dana, graph_id, changed.to_text())
        outcomes[shown] = told.value.reason
    assert outcomes == SHOWING_TOO_LITTLE


async def test_entra_is_asked_once_a_day_and_for_a_new_key_at_once(stage: Stage) -> None:
    """Many notifications ask it once; a key that nobody knows makes it no flood of questions."""
    graph_id, content = await stage.arrives()
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        if "/discovery/" in request.url.path:
            asked.append(request.url.path)

    stage.http.event_hooks["request"].append(note)
    opening = stage.opening()
    for _ in range(3):
        await opening.message(stage.dana, graph_id, content.to_text())
    assert len(asked) == 1
    unknown = _signed_by_somebody("unknown")(stage, content).to_text()
    for wait in (timedelta(), timedelta(), NOT_AGAIN_BEFORE, timedelta()):
        stage.clock.advance(wait)
        with pytest.raises(Unusable):
            await opening.message(stage.dana, graph_id, unknown)
    assert len(asked) == 2
    stage.clock.advance(KEPT_FOR)
    await opening.message(stage.dana, graph_id, content.to_text())
    assert len(asked) == 3


async def test_while_entra_is_away_the_keys_of_before_are_good(stage: Stage) -> None:
    """And who has none yet asks the mailbox."""
    graph_id, content = await stage.arrives()
    opening = stage.opening()
    fresh = GraphResourceData(
        NotificationCertificates(PEM), EntraKeys(stage.http, stage.entra.url + "/organizations", stage.clock), CLIENT_ID
    )
    await opening.message(stage.dana, graph_id, content.to_text())
    await stage.entra.stop()
    stage.clock.advance(KEPT_FOR)
    assert (await opening.message(stage.dana, graph_id, content.to_text())).subject == "Offer"
    with pytest.raises(Unusable, match="unproven"):
        await fresh.message(stage.dana, graph_id, content.to_text())
