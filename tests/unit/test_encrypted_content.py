"""What of a rich notification goes on with its queue message: all that is needed to open it later, or nothing."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.encrypted_content import MAX_CHARS, EncryptedContent, Unusable
from sync.domain.notification import client_state, read_changes
from sync.flows.receive import acknowledge
from sync.jobs import MailChange

KEY = b"k" * 32
WORD = client_state("con_1", KEY)
TENANT, OTHER = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


def token(tenant: object, **more: object) -> str:
    """A JWT that says it is of this tenant; nobody looks at its signature here."""
    parts = ({"alg": "RS256"}, {"tid": tenant} | more, "signature")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


CONTENT = {
    "data": "ZGF0YQ==",
    "dataSignature": "c2ln",
    "dataKey": "a2V5",
    "encryptionCertificateId": "cert-1",
    "encryptionCertificateThumbprint": "AB",
}
CARRIED = EncryptedContent("ZGF0YQ==", "c2ln", "a2V5", "cert-1", TENANT, token(TENANT))


def item(graph_id: str = "AAkA1", **more: Any) -> dict[str, Any]:
    """An item of a rich notification; a value of None leaves a member out."""
    whole = {
        "clientState": WORD,
        "changeType": "created",
        "tenantId": TENANT,
        "resourceData": {"id": graph_id},
        "encryptedContent": CONTENT,
    }
    return {name: value for name, value in (whole | more).items() if value is not None}


def body(*items: dict[str, Any], tokens: object = (token(OTHER), token(TENANT))) -> bytes:
    """A post with these items and tokens."""
    return json.dumps({"value": items, "validationTokens": tokens}).encode()


def carried(post: bytes) -> list[str]:
    """What goes on with each queue message."""
    return [MailChange.from_json(text).carried for text in acknowledge(post, [KEY])]


def test_what_came_along_goes_on_with_the_token_of_its_tenant() -> None:
    """Beside the ids, in one text that is read back as it was; of one that is told of twice the last."""
    assert carried(body(item())) == [CARRIED.to_text()]
    assert EncryptedContent.from_text(CARRIED.to_text()) == CARRIED
    later = item(encryptedContent=CONTENT | {"data": "bGF0ZXI="})
    assert carried(body(item(), item("AAkA2"), later)) == [
        CARRIED.to_text().replace("ZGF0YQ==", "bGF0ZXI="),
        CARRIED.to_text(),
    ]


@pytest.mark.parametrize(
    "post",
    [
        body(item(encryptedContent=None)),
        body(item(encryptedContent="text")),
        body(item(encryptedContent=[])),
        *(
            body(item(encryptedContent={k: v for k, v in CONTENT.items() if k != left_out}))
            for left_out in list(CONTENT)[:4]
        ),
        body(item(encryptedContent=CONTENT | {"data": ""})),
        body(item(encryptedContent=CONTENT | {"data": 7})),
        body(item(encryptedContent=CONTENT | {"dataKey": "a b"})),
        body(item(encryptedContent=CONTENT | {"dataKey": "é"})),
        body(item(encryptedContent=CONTENT | {"dataKey": "a\n"})),
        body(item(encryptedContent=CONTENT | {"data": "A" * MAX_CHARS})),
        body(item(tenantId=None)),
        body(item(tenantId=7)),
        body(item(tenantId="another")),
        body(item(), tokens=None),
        body(item(), tokens=[]),
        body(item(), tokens="token"),
        body(item(), tokens={"0": token(TENANT)}),
        body(item(), tokens=[7, None, "", "a", "a.b", "a.bbbb.c", token(None), token([TENANT])]),
    ],
)
def test_what_can_not_be_used_does_not_go_on(post: bytes) -> None:
    """The message is looked at all the same: only its ids go on, as without it."""
    assert carried(post) == [""]
    assert read_changes(post, [KEY]).changed == (("con_1", "AAkA1"),)


def test_a_forged_item_carries_nothing() -> None:
    """Whatever else it has: who can't name a connection is not listened to."""
    assert acknowledge(body(item(clientState="con_1.forged")), [KEY]) == []


def test_the_longest_that_goes_on_fits_a_queue_message() -> None:
    """64 KiB in base64, with the longest ids, a trace and all else that stands beside it."""
    room = MAX_CHARS - len(CARRIED.to_text()) + len(CARRIED.data)
    longest = item("A" * 500, encryptedContent=CONTENT | {"data": "A" * room})
    (text,) = acknowledge(body(longest), [KEY], trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    job = MailChange.from_json(text)
    assert len(job.carried) == MAX_CHARS
    whole = MailChange("con_" + "a" * 64, job.graph_id, 200, trace=job.trace, linked_to=job.trace, carried=job.carried)
    assert len(base64.b64encode(whole.to_json().encode())) <= 64 * 1024


@given(st.text())
def test_a_text_that_is_none_of_ours_is_not_usable(text: str) -> None:
    """As one of another version of the app could be."""
    if text.count(" ") == 5:
        assert EncryptedContent.from_text(text).to_text() == text
    else:
        with pytest.raises(Unusable):
            EncryptedContent.from_text(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_nothing_that_stands_there_keeps_a_message_back(content: Any, tenant: Any, tokens: Any) -> None:
    """However odd it is: the notification itself is taken."""
    post = body(item(encryptedContent=content, tenantId=tenant), tokens=tokens)
    assert read_changes(post, [KEY]).changed == (("con_1", "AAkA1"),)
