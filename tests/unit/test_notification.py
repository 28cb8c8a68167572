"""Notifications: what Graph's posts become, and that nobody else's become anything."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.errors import MalformedRequest
from sync.domain.notification import (
    MAX_BODY_BYTES,
    MAX_VALIDATION_TOKEN_CHARS,
    Changes,
    client_state,
    connection_of,
    read_changes,
    read_lifecycle,
    usable_validation_token,
)

NEW_KEY, OLD_KEY, FOREIGN_KEY = b"n" * 32, b"o" * 32, b"f" * 32
KEYS = (NEW_KEY, OLD_KEY)
WORD = client_state("con_1", NEW_KEY)
MAC = WORD.partition(".")[2]

type Reader = Callable[[bytes, tuple[bytes, ...]], Changes]


def change(word: object = WORD, graph_id: object = "AAkA1", kind: object = "created", **more: Any) -> dict[str, Any]:
    """An item of a change notification collection, as GRAPH's documentation shows it."""
    return {
        "subscriptionId": "5522bd62-7c96-4530-85b0-0b916b2ac6d0",
        "subscriptionExpirationDateTime": "2026-11-30T11:00:00.0000000Z",
        "clientState": word,
        "changeType": kind,
        "resource": f"Users/object-1/Messages/{graph_id}",
        "tenantId": "tenant-1",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.id": "Users/…", "id": graph_id},
    } | more


def lifecycle(event: object, word: object = WORD) -> dict[str, Any]:
    """An item of a lifecycle notification collection."""
    return {"subscriptionId": "5522bd62", "tenantId": "tenant-1", "clientState": word, "lifecycleEvent": event}


def post(*items: object) -> bytes:
    """The body of a post."""
    return json.dumps({"value": items}).encode()


def test_a_client_state_byte_for_byte() -> None:
    """Subscriptions that are open today are still believed after a deployment: the word's making never changes."""
    mac = hmac.digest(NEW_KEY, b"clientState|con_1", hashlib.sha256)
    assert "con_1." + base64.urlsafe_b64encode(mac).decode().rstrip("=") == WORD


def test_a_client_state_fits_graphs_limit() -> None:
    """Graph refuses more than 128 characters."""
    assert len(client_state("con_" + "a" * 64, NEW_KEY)) <= 128


@pytest.mark.parametrize(
    "word",
    [
        None,
        "",
        ".",
        "con_1",
        "con_1.",
        f".{MAC}",
        MAC,
        f"con_2.{MAC}",
        f"con_1.{MAC}=",
        f"con_1.{MAC} ",
        f" con_1.{MAC}",
        f"con_1.{MAC[:-1]}",
        f"con_1.{MAC}A",
        f"con_1.{MAC.swapcase()}",
        f"con_1..{MAC}",
        f"con_1.{MAC}.",
        f"CON_1.{MAC}",
        f"con_1\0.{MAC}",
        f"con_1.{MAC}é",
        f"con_１.{MAC}",
        "\ud83d.x",
        client_state("con_1", FOREIGN_KEY),
        client_state("con_1", b""),
        f"con_1.{base64.urlsafe_b64encode(hashlib.sha256(b'clientState|con_1').digest()).decode().rstrip('=')}",
        1,
        True,
        1.5,
        [WORD],
        {"clientState": WORD},
    ],
)
def test_a_forged_word_names_no_connection(word: object) -> None:
    """Only who knows a signing key can name a connection; anything else is dropped and counted, for both kinds of post."""
    assert connection_of(word, KEYS) is None
    assert read_changes(post(change(word)), KEYS) == Changes((), forged=1, ignored=0)
    assert read_lifecycle(post(lifecycle("missed", word)), KEYS) == Changes((), forged=1, ignored=0)


def test_a_word_left_out_is_a_forged_one() -> None:
    """An item without clientState is not taken for one that needs none."""
    item = change()
    del item["clientState"]
    assert read_changes(post(item), KEYS).forged == 1


@pytest.mark.parametrize(
    ("keys", "believed"),
    [((NEW_KEY,), True), ((OLD_KEY, NEW_KEY), True), ((NEW_KEY, OLD_KEY), True), ((OLD_KEY,), False), ((), False)],
)
def test_signing_keys_rotate(keys: tuple[bytes, ...], believed: bool) -> None:
    """A subscription is believed as long as the key it was opened with is on the list, in any place."""
    assert connection_of(WORD, keys) == ("con_1" if believed else None)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(KEYS))
def test_a_genuine_word_names_its_connection(connection_id: str, key: bytes) -> None:
    """What was made for a connection is read back as that connection; ids of ours are ASCII."""
    expected = connection_id if connection_id.isascii() else None
    assert connection_of(client_state(connection_id, key), KEYS) == expected


@pytest.mark.parametrize(
    ("item", "counted"),
    [
        (change(kind="created"), Changes((("con_1", "AAkA1"),), 0, 0)),
        (change(kind="updated"), Changes((("con_1", "AAkA1"),), 0, 0)),
        (change(encryptedContent={"data": "…"}), Changes((("con_1", "AAkA1"),), 0, 0)),
        (change(kind="deleted"), Changes((), 0, 1)),
        (change(kind=None), Changes((), 0, 1)),
        (change(kind=["created"]), Changes((), 0, 1)),
        (change(graph_id=""), Changes((), 0, 1)),
        (change(graph_id=7), Changes((), 0, 1)),
        (change(graph_id=None), Changes((), 0, 1)),
        (change(resourceData=None), Changes((), 0, 1)),
        (change(resourceData="AAkA1"), Changes((), 0, 1)),
        (change(resourceData={}), Changes((), 0, 1)),
        (lifecycle("missed"), Changes((), 0, 1)),
    ],
)
def test_one_change(item: dict[str, Any], counted: Changes) -> None:
    """A created or updated message is worth a look; everything else that Graph may send is passed over and counted."""
    assert read_changes(post(item), KEYS) == counted


@pytest.mark.parametrize(
    ("item", "counted"),
    [
        (lifecycle("missed"), Changes((("con_1", "missed"),), 0, 0)),
        (lifecycle("subscriptionRemoved"), Changes((("con_1", "subscriptionRemoved"),), 0, 0)),
        (lifecycle("reauthorizationRequired"), Changes((("con_1", "reauthorizationRequired"),), 0, 0)),
        (lifecycle("somethingNew"), Changes((), 0, 1)),
        (lifecycle(None), Changes((), 0, 1)),
        (lifecycle({}), Changes((), 0, 1)),
        (change(), Changes((), 0, 1)),
    ],
)
def test_one_lifecycle_event(item: dict[str, Any], counted: Changes) -> None:
    """The three events of Graph's documentation are told on, others are passed over and counted."""
    assert read_lifecycle(post(item), KEYS) == counted


def test_a_mixed_batch() -> None:
    """What is genuine in a post gets through, once, in order, whatever else is in it."""
    other = client_state("con_2", OLD_KEY)
    body = post(
        change(),
        change("forged"),
        change(other, "AAkA2"),
        change(kind="updated"),
        change(other, "AAkA1"),
        change(kind="deleted"),
    )
    assert read_changes(body, KEYS) == Changes(
        (("con_1", "AAkA1"), ("con_2", "AAkA2"), ("con_2", "AAkA1")), forged=1, ignored=1
    )


def test_an_empty_collection_is_nothing() -> None:
    """A post without items is answered like any other."""
    assert read_changes(post(), KEYS) == Changes((), 0, 0)


@pytest.mark.parametrize("read", [read_changes, read_lifecycle])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"not json",
        b"null",
        b"1",
        b'"value"',
        b"[]",
        b"{}",
        b'{"value": null}',
        b'{"value": {}}',
        b'{"value": "x"}',
        b'{"value": [1]}',
        b'{"value": [null]}',
        b'{"value": [[]]}',
        b'{"value": [{}]',
        b'{"Value": []}',
        b"\xff\xfe",
        b'{"value": ["\xff"]}',
        b"\0" * 10,
        b"[" * 1_000_000,
        b'{"value": ' * 1_000_000,
        b'{"value": [' + b"9" * 5_000 + b"]}",
        pytest.param(b'{"value": []}' + b" " * MAX_BODY_BYTES, id="more than 4 MiB"),
    ],
)
def test_what_is_no_collection(read: Reader, body: bytes) -> None:
    """A body that can't be read is refused as a whole."""
    with pytest.raises(MalformedRequest):
        read(body, KEYS)


def test_the_largest_body_is_read() -> None:
    """The limit is one for whole posts, exact to the byte."""
    body = post(change())
    assert read_changes(body.ljust(MAX_BODY_BYTES), KEYS).changed == (("con_1", "AAkA1"),)


names = st.sampled_from(["clientState", "changeType", "resourceData", "id", "lifecycleEvent"]) | st.text()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([WORD, "created", "missed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary() | json_values.map(lambda v: json.dumps(v).encode()) | st.lists(json_values).map(lambda v: post(*v)))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Whoever posts whatever to a public address meets MalformedRequest at worst."""
    for read in (read_changes, read_lifecycle):
        try:
            found = read(body, KEYS)
        except MalformedRequest:
            continue
        assert all(connection_id == "con_1" for connection_id, _ in found.changed)


@given(st.lists(st.dictionaries(names, json_values, max_size=4)))
def test_every_item_is_accounted_for(items: list[Any]) -> None:
    """No item is dropped without being counted; only repetitions are not counted twice."""
    found = read_changes(post(*items), KEYS)
    assert found.forged + found.ignored + len(found.changed) <= len(items)
    if not found.changed:
        assert found.forged + found.ignored == len(items)


@pytest.mark.parametrize(
    ("token", "usable"),
    [
        ("Validation: Testing client application reachability for subscription Request-Id: 6b8c", True),
        ("é", True),
        ("<script>alert(1)</script>", True),
        ("x" * MAX_VALIDATION_TOKEN_CHARS, True),
        ("x" * (MAX_VALIDATION_TOKEN_CHARS + 1), False),
        ("", False),
        ("a\r\nb", False),
        ("a\0b", False),
        ("a\u2028b", False),
        ("\ud83d", False),
    ],
)
def test_which_validation_token_is_echoed(token: str, usable: bool) -> None:
    """One line of text of a sane length. Markup is harmless, since the answer is plain text that is never sniffed."""
    assert usable_validation_token(token) is usable
