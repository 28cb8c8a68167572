"""The bodies of requests: what is taken, what is refused, and that each wrong field is named where it stands."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sync.api.models import (
    MAX_METADATA_DEPTH,
    BulkRequest,
    CompleteRequest,
    ProviderRequest,
    RedeliverRequest,
    SendRequest,
    SignInRequest,
    read,
    send_request,
)
from sync.domain.errors import InvalidRequest
from sync.domain.mail import Address
from sync.domain.message import Contact
from sync.domain.outgoing import Outgoing, OutgoingFile
from sync.domain.provider import Provider

SEND: dict[str, Any] = {
    "kind": "individual",
    "user_id": "anna",
    "to": [{"address": "kim@customer.example"}],
    "subject": "Offer",
    "text": "Hi",
}
FILE = {"name": "a.txt", "content_type": "text/plain", "content_base64": "YWJj"}


def wrong(model: type[BaseModel], value: object) -> list[str]:
    """The fields that are named as wrong."""
    try:
        read(model, value)
    except InvalidRequest as error:
        refused: Any = error.extra["errors"]
    else:
        return []
    assert refused
    assert all(each["message"] and "pydantic" not in each["message"] for each in refused)
    return [each["field"] for each in refused]


def send(**changes: Any) -> dict[str, Any]:
    """A send with some fields changed."""
    return SEND | changes


def nested(levels: int) -> dict[str, Any]:
    """An object inside an object, so many in all."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_a_whole_send() -> None:
    """Every field of the contract reaches the rules, files decoded, `from` under our own name."""
    person = {"address": "kim@customer.example", "name": "Kim", "contact_id": "c-7"}
    asked = send(
        cc=[person],
        bcc=[person],
        html="<p>Hi</p>",
        thread_id="thr_1",
        attachments=[FILE, FILE | {"inline": True, "content_id": "x@crm"}],
        metadata={"deal": 7},
    ) | {"from": "anna@contoso.example"}
    kim = Contact("kim@customer.example", "Kim", "c-7")
    assert read(SendRequest, asked).outgoing() == Outgoing(
        kind="individual",
        user_id="anna",
        to=(Contact("kim@customer.example"),),
        subject="Offer",
        html="<p>Hi</p>",
        text="Hi",
        from_address="anna@contoso.example",
        cc=(kim,),
        bcc=(kim,),
        thread_id="thr_1",
        files=(
            OutgoingFile("a.txt", "text/plain", b"abc"),
            OutgoingFile("a.txt", "text/plain", b"abc", inline=True, content_id="x@crm"),
        ),
        metadata={"deal": 7},
    )


def test_the_least_send() -> None:
    """What may be left out has an empty default, and one request's defaults are not another's."""
    first, second = read(SendRequest, SEND), read(SendRequest, SEND)
    assert first.outgoing() == Outgoing("individual", "anna", (Contact("kim@customer.example"),), "Offer", text="Hi")
    first.metadata["a"] = 1
    assert second.metadata == {}


@pytest.mark.parametrize("name", SEND.keys() - {"text", "to"})
def test_what_a_send_needs(name: str) -> None:
    """A missing field is named. Recipients may be left out of an answer: whether it is one, the rules say."""
    assert wrong(SendRequest, {k: v for k, v in SEND.items() if k != name}) == [name]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        # nothing is guessed: another type is not turned into the right one
        ({"subject": 1}, ["subject"]),
        ({"subject": None}, ["subject"]),
        ({"to": "kim@customer.example"}, ["to"]),
        ({"to": ["kim@customer.example"]}, ["to[0]"]),
        ({"to": {"address": "kim@customer.example"}}, ["to"]),
        ({"html": ["x"]}, ["html"]),
        ({"metadata": []}, ["metadata"]),
        ({"metadata": None}, ["metadata"]),
        ({"attachments": [FILE | {"inline": "true"}]}, ["attachments[0].inline"]),
        ({"attachments": [FILE | {"inline": 1}]}, ["attachments[0].inline"]),
        # a misspelt field is told, not ignored
        ({"Subject": "x"}, ["Subject"]),
        ({"from_": "anna@contoso.example"}, ["from_"]),
        ({"to": [{"address": "a@x.example", "email": "b@x.example"}]}, ["to[0].email"]),
        ({"attachments": [FILE | {"blob": "x"}]}, ["attachments[0].blob"]),
        # values
        ({"kind": "Individual"}, ["kind"]),
        ({"kind": "marketing"}, ["kind"]),
        ({"user_id": "a b"}, ["user_id"]),
        ({"user_id": ""}, ["user_id"]),
        ({"user_id": "a" * 65}, ["user_id"]),
        ({"user_id": "anna\n"}, ["user_id"]),
        ({"thread_id": "t" * 65}, ["thread_id"]),
        ({"to": [{"address": "a@x.example", "name": "x" * 201}]}, ["to[0].name"]),
        ({"to": [{"address": "a@x.example", "contact_id": "x" * 201}]}, ["to[0].contact_id"]),
        ({"attachments": [FILE | {"name": ""}]}, ["attachments[0].name"]),
        ({"attachments": [FILE | {"name": "x" * 256}]}, ["attachments[0].name"]),
        ({"attachments": [FILE | {"content_type": "text"}]}, ["attachments[0].content_type"]),
        ({"attachments": [FILE, FILE | {"content_type": ""}]}, ["attachments[1].content_type"]),
        # metadata that could not be written again
        ({"metadata": nested(MAX_METADATA_DEPTH)}, []),
        ({"metadata": nested(MAX_METADATA_DEPTH + 1)}, ["metadata"]),
        ({"metadata": {"a": [[[nested(MAX_METADATA_DEPTH - 3)]]]}}, ["metadata"]),
        ({"metadata": nested(9_000)}, ["metadata"]),
        ({"metadata": {"a": 1e999}}, ["metadata"]),
        ({"metadata": {"a": [1, {"b": float("nan")}]}}, ["metadata"]),
        # many at once
        (
            {"kind": "x", "to": [{"address": "a"}, {}], "cc": [{"address": "b@"}]},
            ["kind", "to[0].address", "to[1].address", "cc[0].address"],
        ),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], fields: list[str]) -> None:
    """By a path as a program would write it, all of them at once."""
    assert wrong(SendRequest, send(**changes)) == fields


@pytest.mark.parametrize(
    "address",
    [
        "kim@customer.example",
        "Kim.O'Neil+crm@customer.example",
        "kim@sub.customer.example",
        "kim@intranet",
        "jörg@müller.example",
        "用户@例子.example",
        "a@1.2.3.example",
    ],
)
def test_addresses_that_are_taken(address: str) -> None:
    """Also in other scripts (RFC 6531); whether the domain takes mail is for the mail system to say."""
    assert not wrong(SendRequest, send(to=[{"address": address}]))


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "kim",
        "kim@",
        "@customer.example",
        "kim@customer..example",
        ".kim@customer.example",
        "kim@customer.example.",
        "kim@customer.example, lee@client.example",
        "kim@customer.example;lee@client.example",
        "Kim <kim@customer.example>",
        "<kim@customer.example>",
        "kim@customer.example\r\nBcc: x@evil.example",
        "kim\r\n@customer.example",
        "kim\0@customer.example",
        "kim@customer.example\0",
        "kim@cust omer.example",
        "kim@-customer.example",
        '"kim lee"@customer.example',
        "kim@[127.0.0.1]",
        "kim\u2028@customer.example",
        "\ud83d@customer.example",
        "k@" + "x" * 320 + ".example",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    """One plain address and nothing around it: no name, no list, no second header, wherever an address is asked for."""
    assert wrong(SendRequest, send(to=[{"address": address}])) == ["to[0].address"]
    assert wrong(SendRequest, send() | {"from": address}) == ["from"]
    assert wrong(SignInRequest, {"return_url": "https://crm.example", "expected_email": address}) == ["expected_email"]


def test_an_address_is_taken_over_as_it_counts() -> None:
    """Space around goes and the domain is folded; the part before the @ is the receiver's own and stays."""
    asked = read(SendRequest, send(to=[{"address": " Kim@Customer.EXAMPLE "}])).outgoing()
    assert asked.to[0].address == "Kim@customer.example"


@pytest.mark.parametrize("text", ["YWJj", "", "YQ==", base64.b64encode(bytes(range(256))).decode()])
def test_base64_that_is_taken(text: str) -> None:
    """RFC 4648, section 4."""
    asked = read(SendRequest, send(attachments=[FILE | {"content_base64": text}])).outgoing()
    assert base64.b64encode(asked.files[0].content).decode() == text


@pytest.mark.parametrize(
    "text", ["YWJ", "YQ=", "Y", "YW Jj", "YWJj\n", "YWJj!", "_-_-", "é", "data:text/plain;base64,YWJj", "YQ==YQ=="]
)
def test_base64_that_is_refused(text: str) -> None:
    """Nothing is skipped or repaired: a file that arrived broken must not be sent."""
    assert wrong(SendRequest, send(attachments=[FILE | {"content_base64": text}])) == ["attachments[0].content_base64"]


@pytest.mark.parametrize(
    ("model", "value", "fields"),
    [
        (SignInRequest, {"return_url": "https://crm.example"}, []),
        (SignInRequest, {"return_url": "https://crm.example", "expected_email": "anna@contoso.example"}, []),
        (SignInRequest, {"return_url": "https://crm.example", "expected_email": None}, []),
        (SignInRequest, {}, ["return_url"]),
        (SignInRequest, {"return_url": None}, ["return_url"]),
        (SignInRequest, {"return_url": "https://crm.example/" + "x" * 2_000}, ["return_url"]),
        (SignInRequest, {"return_url": "x", "state": "y"}, ["state"]),
        (CompleteRequest, {"completion_code": "s1.code"}, []),
        (CompleteRequest, {}, ["completion_code"]),
        (CompleteRequest, {"completion_code": "x" * 201}, ["completion_code"]),
        (CompleteRequest, {"completion_code": 1}, ["completion_code"]),
        (CompleteRequest, [], [""]),
        (CompleteRequest, None, [""]),
    ],
)
def test_signing_in(model: type[BaseModel], value: object, fields: list[str]) -> None:
    """The two bodies of a sign-in; whether the address is allowed is the domain's to say."""
    assert wrong(model, value) == fields


def test_a_refusal_repeats_no_value() -> None:
    """A wrong value may be a secret or somebody's address: the field is named, the value is not."""
    value = "kim-secret-value"
    with pytest.raises(InvalidRequest) as refused:
        read(SendRequest, send(kind=value, thread_id=value * 9, metadata=value, attachments=[FILE | {"inline": value}]))
    assert value not in str(refused.value.extra)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(SEND)) | st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(
    json_values
    | st.dictionaries(st.sampled_from([*SEND, "attachments", "metadata", "from"]), json_values).map(lambda v: SEND | v)
)
def test_any_json_is_read_or_refused(value: object) -> None:
    """No value raises anything but the refusal that names its fields."""
    if not wrong(SendRequest, value):
        assert read(SendRequest, value).outgoing().kind in ("individual", "bulk", "workflow")


def test_a_bad_address_of_a_bulk_send_keeps_back_its_own_email_alone() -> None:
    """The others are taken; what is wrong is said, and the address is shown back as it came."""
    people = [{"address": "kim@customer.example"}, {"address": "no address", "contact_id": "c-2"}, {"address": "a@b"}]
    asked = read(BulkRequest, send(kind="bulk", to=people)).outgoing()
    assert [p.address for p in asked.to] == ["kim@customer.example", "no address", "a@b"]
    assert asked.unusable.keys() == {1}
    assert asked.unusable[1].startswith("This is no email address")


@pytest.mark.parametrize("kind", ["individual", "workflow", "bulk"])
def test_a_send_is_read_by_its_kind(kind: str) -> None:
    """One email to all, or one for each: only there a bad address is left for later."""
    assert send_request(send(kind=kind)).outgoing().kind == kind
    bad = send(kind=kind, to=[{"address": "no address"}])
    if kind == "bulk":
        assert send_request(bad).outgoing().unusable
    else:
        with pytest.raises(InvalidRequest):
            send_request(bad)


@pytest.mark.parametrize("kind", [None, 7, "newsletter", ["bulk"], {}])
def test_what_is_no_kind_is_named(kind: object) -> None:
    """With the kinds there are."""
    with pytest.raises(InvalidRequest) as refused:
        send_request(send(kind=kind))
    errors = refused.value.extra["errors"]
    assert isinstance(errors, list)
    (told,) = errors
    assert told["field"] == "kind"
    assert "'individual', 'bulk' or 'workflow'" in told["message"]


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-03-02T09:00:00Z", datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
        ("2026-03-02T09:00:00.250+02:00", datetime(2026, 3, 2, 7, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_times_that_are_taken(text: str, when: datetime) -> None:
    """RFC 3339, in any zone."""
    assert read(SendRequest, send(send_at=text)).outgoing().send_at == when


@pytest.mark.parametrize(
    "value", ["2026-03-02T09:00:00", "tomorrow", "", 1_772_000_000, "1772000000", True, "2026-13-01T00:00:00Z"]
)
def test_times_that_are_refused(value: object) -> None:
    """One without a zone says nothing, and a number may be seconds or milliseconds."""
    assert wrong(SendRequest, send(send_at=value)) == ["send_at"]


PROVIDER: dict[str, Any] = {
    "host": "smtp.example",
    "port": 587,
    "security": "starttls",
    "username": "apikey",
    "password": "hunter2",
    "from": {"address": "offers@crm.example", "name": "Offers"},
    "domains": ["crm.example"],
}


def test_a_whole_provider() -> None:
    """Every field of the contract; names in lower case and ASCII, each domain once."""
    asked = PROVIDER | {"host": "SMTP.Bücher.example.", "domains": ["CRM.example", "bücher.example", "crm.example."]}
    assert read(ProviderRequest, asked).provider("acme") == Provider(
        account_id="acme",
        host="smtp.xn--bcher-kva.example",
        port=587,
        security="starttls",
        sender=Address("offers@crm.example", "Offers"),
        domains=("crm.example", "xn--bcher-kva.example"),
        username="apikey",
        password="hunter2",
    )


def test_the_least_of_a_provider() -> None:
    """No login, no domains, no name."""
    asked = {"host": "192.0.2.7", "port": 465, "security": "tls", "from": {"address": "offers@crm.example"}}
    assert read(ProviderRequest, asked).provider("acme") == Provider(
        "acme", "192.0.2.7", 465, "tls", Address("offers@crm.example")
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "LOCALHOST"])
def test_without_encryption_on_this_machine(host: str) -> None:
    """Its own addresses and its own name alone; what they lead to is judged again when connecting."""
    assert read(ProviderRequest, PROVIDER | {"security": "none", "host": host}).security == "none"
    for other in ("smtp.example", "10.0.0.1", "localhost.example", "0.0.0.0"):
        assert wrong(ProviderRequest, PROVIDER | {"security": "none", "host": other}) == ["security"]


@pytest.mark.parametrize(("given", "missing"), [("username", "password"), ("password", "username")])
@pytest.mark.parametrize("absent", [{}, {"value": None}])
def test_half_a_login(given: str, missing: str, absent: dict[str, None]) -> None:
    """Is no login; the other half is named."""
    asked = {k: v for k, v in PROVIDER.items() if k != missing} | ({missing: None} if absent else {})
    with pytest.raises(InvalidRequest) as refused:
        read(ProviderRequest, asked).provider("acme")
    assert [e["field"] for e in refused.value.extra["errors"]] == [missing]  # type: ignore[attr-defined]
    assert given in asked


@pytest.mark.parametrize("field", ["host", "username", "password", "from.name", "from.address", "domains[0]"])
@pytest.mark.parametrize("evil", ["a\r\nb", "a\nb", "a\x00b", "a\x85b", "a\u2028b"])
def test_no_control_character_reaches_a_server(field: str, evil: str) -> None:
    """In no field that is sent or written to it."""
    asked = PROVIDER | {"from": dict(PROVIDER["from"])}
    name, _, member = field.partition(".")
    if member:
        asked["from"][member] = evil
    else:
        asked |= {"domains": [evil]} if name == "domains[0]" else {name: evil}
    assert wrong(ProviderRequest, asked) == [field]


@pytest.mark.parametrize("after", [0, 1, 9_999_999_999])
def test_a_redelivery_begins_behind_a_sequence(after: int) -> None:
    """Zero is the whole feed."""
    assert read(RedeliverRequest, {"after": after}).after == after


@pytest.mark.parametrize(
    "value", [{"after": -1}, {"after": 10_000_000_000}, {"after": "1"}, {"after": 1.0}, {"after": None}, {}]
)
def test_a_redelivery_behind_nothing_is_refused(value: dict[str, Any]) -> None:
    """A missing or strange sequence would else redeliver everything."""
    assert wrong(RedeliverRequest, value) == ["after"]
