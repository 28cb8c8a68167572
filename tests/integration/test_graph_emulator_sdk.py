"""
Microsoft's own SDK for Python against the Graph emulator, unchanged except for its base address.

What the SDK can write, the emulator reads, and what the emulator answers, the SDK understands: so the emulator speaks
Graph and not a dialect that only our client knows. Beside it, one look at the raw answer, compared with the documented
one (https://learn.microsoft.com/graph/api/user-post-messages), as the SDK forgives what is missing.
"""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory, Person
from tests.cloud.graph import GraphEmulator
from tests.cloud.graph.conversation import new_mutable_id
from tests.cloud.server import Server

if TYPE_CHECKING:
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.models.message import Message
    from msgraph.graph_service_client import GraphServiceClient

# The SDK's generated code deprecates classes while it is being imported, and goes on using them itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:GetQueryParameters is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This class is deprecated. Please use the generic:DeprecationWarning"),
]

STAMP = "String {00020329-0000-0000-C000-000000000046} Name CrmSendId"
SCOPES = frozenset({"User.Read", "Mail.ReadWrite", "Mail.Send"})
CLIENT_ID = "11111111-2222-3333-4444-555555555555"
IMMUTABLE = 'IdType="ImmutableId"'


@dataclass
class Cloud:
    """The emulator with two people who write to each other, and how to become a client of either."""

    graph: GraphEmulator
    clock: Clock
    ada: Person
    bob: Person
    token: Callable[[Person], str]
    client: Callable[[Person], "GraphServiceClient"]


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    """A running emulator; the SDK is imported here, as that takes seconds."""
    from kiota_abstractions.authentication import (
        AccessTokenProvider,
        AllowedHostsValidator,
        BaseBearerTokenAuthenticationProvider,
    )
    from msgraph.graph_request_adapter import GraphRequestAdapter, options
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core import GraphClientFactory

    clock = Clock()
    directory = Directory(clock)
    graph = GraphEmulator(directory, clock)
    ada = directory.add("ada@sales.example", "Ada Sales")
    bob = directory.add("bob@contact.example", "Bob Contact")
    transports: list[httpx.AsyncHTTPTransport] = []

    class StaticToken(AccessTokenProvider):
        """One person's token; none for upload addresses, which the SDK's own list of hosts leaves out as well."""

        def __init__(self, person: Person) -> None:
            self._value = token(person)

        async def get_authorization_token(
            self, uri: str, additional_authentication_context: dict[str, Any] | None = None
        ) -> str:
            return self._value if uri.startswith(f"{graph.url}/v1.0/") else ""

        def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
            return AllowedHostsValidator(["127.0.0.1"])

    def token(person: Person) -> str:
        return directory.issue_token(person, SCOPES, CLIENT_ID).value

    def client(person: Person) -> GraphServiceClient:
        # A transport of our own, as the SDK's client does not close what it wraps.
        transports.append(httpx.AsyncHTTPTransport())
        http = GraphClientFactory.create_with_default_middleware(
            client=httpx.AsyncClient(transport=transports[-1]), options=options
        )
        adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(StaticToken(person)), http)
        adapter.base_url = f"{graph.url}/v1.0"
        return GraphServiceClient(request_adapter=adapter)

    await graph.start()
    try:
        yield Cloud(graph, clock, ada, bob, token, client)
    finally:
        for transport in transports:
            await transport.aclose()
        await graph.stop()


async def eventually[T](read: Callable[[], Awaitable[T]]) -> T:
    """What `read` returns, as soon as it is something; fails after ten seconds."""
    async with asyncio.timeout(10):
        while True:
            if found := await read():
                return found
            await asyncio.sleep(0.02)


def asking(**options: Any) -> "RequestConfiguration[Any]":
    """Query options and headers in the SDK's words: `select`, `filter`, `expand`, `orderby`, `top`, `prefer`."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

    configuration: RequestConfiguration[Any] = RequestConfiguration()
    if prefer := options.pop("prefer", None):
        configuration.headers.add("Prefer", prefer)
    if options:
        configuration.query_parameters = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(**options)
    return configuration


def new_message(subject: str, *to: str, stamp: str | None = None) -> "Message":
    """A message as a program writes it."""
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.email_address import EmailAddress
    from msgraph.generated.models.item_body import ItemBody
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.recipient import Recipient
    from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty

    return Message(
        subject=subject,
        body=ItemBody(content_type=BodyType.Html, content="<p>Hello</p>"),
        to_recipients=[Recipient(email_address=EmailAddress(address=address)) for address in to],
        single_value_extended_properties=(
            [SingleValueLegacyExtendedProperty(id=STAMP, value=stamp)] if stamp is not None else None
        ),
    )


async def list_folder(client: "GraphServiceClient", folder: str, **options: Any) -> list["Message"]:
    """The messages of a folder, one page."""
    page = await client.me.mail_folders.by_mail_folder_id(folder).messages.get(asking(**options))
    assert page is not None
    return page.value or []


async def test_me_and_folders(cloud: Cloud) -> None:
    """The SDK reads who is signed in and finds folders by well-known name as in the list."""
    client = cloud.client(cloud.ada)
    me = await client.me.get()
    assert me is not None
    assert (me.id, me.mail, me.display_name) == (cloud.ada.oid, "ada@sales.example", "Ada Sales")
    folders = await client.me.mail_folders.get()
    sent = await client.me.mail_folders.by_mail_folder_id("sentitems").get()
    assert folders is not None
    assert sent is not None
    assert sent.id in [folder.id for folder in folders.value or []]


async def test_draft_with_files_is_sent_and_found(cloud: Cloud) -> None:
    """A stamped draft gets a small and a large file, is sent, and is found again by its stamp under the same id."""
    from msgraph.generated.models.attachment_item import AttachmentItem
    from msgraph.generated.models.attachment_type import AttachmentType
    from msgraph.generated.models.file_attachment import FileAttachment
    from msgraph.generated.users.item.messages.item.attachments.create_upload_session import (
        create_upload_session_post_request_body as upload,
    )
    from msgraph_core.tasks.large_file_upload import LargeFileUploadTask

    client = cloud.client(cloud.ada)
    draft = await client.me.messages.post(
        new_message("Offer", "zoe@outside.example", stamp="msg_1"), asking(prefer=IMMUTABLE)
    )
    assert draft is not None
    assert draft.id is not None
    assert draft.is_draft
    assert draft.conversation_index is not None
    message = client.me.messages.by_message_id(draft.id)

    small = FileAttachment(
        odata_type="#microsoft.graph.fileAttachment", name="a.txt", content_type="text/plain", content_bytes=b"small"
    )
    added = await message.attachments.post(small)
    assert isinstance(added, FileAttachment)
    assert added.content_bytes == b"small"

    large = bytes(range(256)) * 14_000  # 3.6 MB: too much for one request
    session = await message.attachments.create_upload_session.post(
        upload.CreateUploadSessionPostRequestBody(
            attachment_item=AttachmentItem(attachment_type=AttachmentType.File, name="large.pdf", size=len(large))
        )
    )
    assert session is not None
    # LargeFileUploadTask.upload() cannot end against Outlook (msgraph-sdk-python-core#691): it sends the last part
    # twice. So its parts are sent one by one, by its own method.
    task = LargeFileUploadTask(session, client.request_adapter, BytesIO(large))
    half = 320 * 1024 * 6
    task.next_range = f"0-{half - 1}"
    progress = await task.next_chunk(task.stream)
    assert progress.next_expected_ranges is not None
    assert progress.next_expected_ranges[0].rstrip("-") == str(half)
    task.next_range = f"{half}-{len(large) - 1}"
    assert await task.next_chunk(task.stream) is None  # 201 with a Location and no body

    await message.send.post(asking(prefer=IMMUTABLE))
    stamped = f"singleValueExtendedProperties/any(ep: ep/id eq '{STAMP}' and ep/value eq 'msg_1')"
    (copy,) = await eventually(
        lambda: list_folder(
            client,
            "sentitems",
            filter=stamped,
            select=["id", "subject", "internetMessageId", "conversationId", "isDraft", "hasAttachments"],
            expand=[f"singleValueExtendedProperties($filter=id eq '{STAMP}')", "attachments($select=id,name,size)"],
            prefer=IMMUTABLE,
        )
    )
    assert copy.id == draft.id
    assert copy.internet_message_id == draft.internet_message_id
    assert copy.conversation_id == draft.conversation_id
    assert (copy.is_draft, copy.has_attachments, copy.body) == (False, True, None)
    assert [p.value for p in copy.single_value_extended_properties or []] == ["msg_1"]
    assert sorted(str(a.name) for a in copy.attachments or []) == ["a.txt", "large.pdf"]

    whole = await message.get(asking(expand=["attachments"], prefer=IMMUTABLE))
    assert whole is not None
    files = {str(a.name): a for a in whole.attachments or []}
    assert isinstance(files["large.pdf"], FileAttachment)
    assert files["large.pdf"].content_bytes == large


async def test_reply_stays_in_the_conversation(cloud: Cloud) -> None:
    """What the other side answers with createReply arrives in the conversation that the sender began."""
    from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import (
        CreateReplyPostRequestBody,
    )

    ada, bob = cloud.client(cloud.ada), cloud.client(cloud.bob)
    draft = await ada.me.messages.post(new_message("Offer", cloud.bob.email))
    assert draft is not None
    await ada.me.messages.by_message_id(str(draft.id)).send.post()
    (received,) = await eventually(lambda: list_folder(bob, "inbox"))
    assert received.internet_message_id == draft.internet_message_id
    assert received.conversation_id != draft.conversation_id

    reply = await bob.me.messages.by_message_id(str(received.id)).create_reply.post(
        CreateReplyPostRequestBody(comment="Thank you")
    )
    assert reply is not None
    assert reply.subject is not None
    assert reply.subject.upper() == "RE: OFFER"
    assert reply.conversation_id == received.conversation_id
    assert len(reply.conversation_index or b"") > len(received.conversation_index or b"")
    await bob.me.messages.by_message_id(str(reply.id)).send.post()

    (answer,) = await eventually(
        lambda: list_folder(ada, "inbox", select=["conversationId", "internetMessageHeaders", "from", "body"])
    )
    assert answer.conversation_id == draft.conversation_id
    headers = {str(h.name).lower(): h.value for h in answer.internet_message_headers or []}
    assert headers["in-reply-to"] == draft.internet_message_id
    assert answer.from_ is not None
    assert answer.from_.email_address is not None
    assert answer.from_.email_address.address == cloud.bob.email


async def test_delta_tells_what_is_new_and_what_is_gone(cloud: Cloud) -> None:
    """From a delta link on, exactly the changes come: an added message, then its removal."""
    from msgraph.generated.users.item.mail_folders.item.messages.delta.delta_get_response import DeltaGetResponse
    from msgraph.generated.users.item.mail_folders.item.messages.delta.delta_request_builder import (
        DeltaRequestBuilder,
    )

    client = cloud.client(cloud.ada)
    delta = client.me.mail_folders.by_mail_folder_id("drafts").messages.delta

    async def read_to_the_end(begin: DeltaRequestBuilder) -> tuple[list["Message"], str]:
        changes: list[Message] = []
        page: DeltaGetResponse | None = await begin.get()
        assert page is not None
        while True:
            changes += page.value or []
            if page.odata_delta_link:
                return changes, page.odata_delta_link
            page = await delta.with_url(str(page.odata_next_link)).get()
            assert page is not None

    for number in range(3):
        await client.me.messages.post(new_message(f"Old {number}", "zoe@outside.example"))
    old, link = await read_to_the_end(delta)
    assert sorted(str(m.subject) for m in old) == ["Old 0", "Old 1", "Old 2"]

    draft = await client.me.messages.post(new_message("New", "zoe@outside.example"))
    assert draft is not None
    new, link = await read_to_the_end(delta.with_url(link))
    assert [m.subject for m in new] == ["New"]

    await client.me.messages.by_message_id(str(draft.id)).delete()
    gone, _ = await read_to_the_end(delta.with_url(link))
    assert [(m.id, "@removed" in m.additional_data) for m in gone] == [(draft.id, True)]


async def test_subscription_lives_from_handshake_to_delete(cloud: Cloud) -> None:
    """The address is validated, a change is told to it, the subscription is renewed and deleted."""
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.models.subscription import Subscription

    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def endpoint(request: web.Request) -> web.Response:
        if "validationToken" in request.query:
            return web.Response(text=request.query["validationToken"], content_type="text/plain")
        for notification in (await request.json())["value"]:
            told.put_nowait(notification)
        return web.Response(status=202)

    application = web.Application()
    application.router.add_post("/notifications", endpoint)
    receiver = Server(application)
    await receiver.start()
    try:
        client = cloud.client(cloud.ada)
        created = await client.subscriptions.post(
            Subscription(
                change_type="created,updated",
                notification_url=f"{receiver.url}/notifications?k=1",
                lifecycle_notification_url=f"{receiver.url}/notifications",
                resource="me/messages",
                expiration_date_time=cloud.clock.now() + timedelta(days=2),
                client_state="secret",
            ),
            asking(prefer=IMMUTABLE),
        )
        assert created is not None
        draft = await client.me.messages.post(new_message("Offer", "zoe@outside.example"), asking(prefer=IMMUTABLE))
        assert draft is not None

        async with asyncio.timeout(10):
            notification = await told.get()
        assert notification["subscriptionId"] == created.id
        assert notification["clientState"] == "secret"
        assert notification["resourceData"]["id"] == draft.id

        subscription = client.subscriptions.by_subscription_id(str(created.id))
        later = cloud.clock.now() + timedelta(days=5)
        renewed = await subscription.patch(Subscription(expiration_date_time=later))
        assert renewed is not None
        assert renewed.expiration_date_time is not None
        assert abs(renewed.expiration_date_time - later) < timedelta(seconds=1)
        await subscription.delete()
        with pytest.raises(ODataError) as gone:
            await subscription.get()
        assert gone.value.response_status_code == 404
    finally:
        await receiver.stop()


async def test_batch_answers_each_request(cloud: Cloud) -> None:
    """
    One batch, two requests, two answers of their own: a success and an error.

    Without the SDK, whose batch module imports a package that it does not declare (msgraph-core 1.5.2, `deprecated`).
    """
    missing = new_mutable_id(str(uuid.uuid4()))
    async with httpx.AsyncClient(base_url=f"{cloud.graph.url}/v1.0/") as http:
        answer = await http.post(
            "$batch",
            json={
                "requests": [
                    {"id": "me", "method": "GET", "url": "/me?$select=mail"},
                    {"id": "no", "method": "GET", "url": f"/me/messages/{missing}", "dependsOn": ["me"]},
                ]
            },
            headers={"Authorization": f"Bearer {cloud.token(cloud.ada)}"},
        )
    answers = {each["id"]: each for each in answer.json()["responses"]}
    assert answer.status_code == 200
    assert {name: each["status"] for name, each in answers.items()} == {"me": 200, "no": 404}
    assert answers["me"]["body"]["mail"] == cloud.ada.email
    assert answers["no"]["body"]["error"]["code"] == "ErrorItemNotFound"


async def test_pages_follow_one_another(cloud: Cloud) -> None:
    """The SDK's page iterator sees every message once, in the order asked for."""
    from msgraph_core.tasks.page_iterator import PageIterator

    client = cloud.client(cloud.ada)
    for number in range(5):
        await client.me.messages.post(new_message(f"Number {number}", "zoe@outside.example"))
    first = await client.me.messages.get(asking(top=2, orderby=["subject desc"], select=["subject"]))
    subjects: list[str] = []

    def see(message: "Message") -> bool:
        subjects.append(str(message.subject))
        return True

    await PageIterator(first, client.request_adapter).iterate(see)
    assert subjects == [f"Number {number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"filter": "conversationId eq 'x'", "orderby": ["receivedDateTime desc"]}, 400, "InefficientFilter"),
        ({"select": ["subjekt"]}, 400, "BadRequest"),
        ({"filter": "subject eq offer"}, 400, "BadRequest"),
    ],
)
async def test_refusals_are_the_sdks_errors(cloud: Cloud, options: dict[str, Any], status: int, code: str) -> None:
    """A refusal arrives as the SDK's error with Graph's code and the ids for support."""
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    with pytest.raises(ODataError) as refused:
        await cloud.client(cloud.ada).me.messages.get(asking(**options))
    error = refused.value.error
    assert error is not None
    assert (refused.value.response_status_code, error.code) == (status, code)
    assert error.inner_error is not None
    assert error.inner_error.request_id


async def test_missing_message_is_item_not_found(cloud: Cloud) -> None:
    """A message that is gone is 404 ErrorItemNotFound, and another person's is as if it did not exist."""
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    draft = await cloud.client(cloud.ada).me.messages.post(new_message("Mine", "zoe@outside.example"))
    assert draft is not None
    with pytest.raises(ODataError) as refused:
        await cloud.client(cloud.bob).me.messages.by_message_id(str(draft.id)).get()
    assert refused.value.error is not None
    assert (refused.value.response_status_code, refused.value.error.code) == (404, "ErrorItemNotFound")


async def test_a_new_draft_has_every_documented_property(cloud: Cloud) -> None:
    """The raw 201 carries what the documentation's example carries, and the headers that go with it."""
    async with httpx.AsyncClient(base_url=f"{cloud.graph.url}/v1.0/") as http:
        answer = await http.post(
            "me/messages",
            json={
                "subject": "Offer",
                "body": {"contentType": "HTML", "content": "<p>Hello</p>"},
                "toRecipients": [{"emailAddress": {"address": "zoe@outside.example"}}],
            },
            headers={"Authorization": f"Bearer {cloud.token(cloud.ada)}", "Prefer": IMMUTABLE},
        )
    draft = answer.json()
    documented = """
        @odata.context @odata.etag id createdDateTime lastModifiedDateTime changeKey categories receivedDateTime
        sentDateTime hasAttachments internetMessageId subject bodyPreview importance parentFolderId conversationId
        conversationIndex isDeliveryReceiptRequested isReadReceiptRequested isRead isDraft webLink
        inferenceClassification body toRecipients ccRecipients bccRecipients replyTo
    """
    assert answer.status_code == 201
    assert set(documented.split()) <= set(draft)
    assert not {"internetMessageHeaders", "uniqueBody", "attachments", "singleValueExtendedProperties"} & set(draft)
    assert draft["@odata.etag"] == f'W/"{draft["changeKey"]}"'
    assert answer.headers["Preference-Applied"] == IMMUTABLE
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["request-id"]
    assert draft["body"]["content"] != "<p>Hello</p>"  # Exchange rewrites HTML
    assert base64.b64decode(draft["conversationIndex"])[0] == 1
