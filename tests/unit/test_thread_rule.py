"""
The thread rule as a table: what a message carries, and which thread of ours it belongs to, if any. Properties are in
test_thread_rule_properties.py.

Two threads were begun from the CRM: A with Kim ("Offer"), B with Lee (also "Offer"), and C with Kim under another subject.
Anna owns the mailbox.
"""

from typing import Any

import pytest

from sync.domain.mail import Address, MailboxMessage, ThreadKeys
from sync.domain.thread_rule import (
    MAX_REFERENCES,
    Anchor,
    Belongs,
    DoesNotBelong,
    KeyKind,
    Verdict,
    anchors_of,
    decide,
    keys_to_look_up,
    threads_of_report,
)

ANNA, ANNAS_ALIAS = Address("anna@contoso.example"), Address("a.berger@contoso.example")
COLLEAGUE = Address("ben@contoso.example")
KIM, LEE, STRANGER = Address("kim@customer.example"), Address("lee@client.example"), Address("x@elsewhere.example")
OWN = frozenset({ANNA.key, ANNAS_ALIAS.key})

A1, B1, C1 = "<a1@contoso.example>", "<b1@contoso.example>", "<c1@contoso.example>"
OTHER = "<other@elsewhere.example>"

ANCHORS = [
    Anchor("message_id", A1, "A", "offer"),
    Anchor("conversation", "conv-a", "A"),
    Anchor("conversation_index", "guid-a", "A"),
    Anchor("message_id", B1, "B", "offer"),
    Anchor("conversation", "conv-b", "B"),
    Anchor("conversation_index", "guid-b", "B"),
    Anchor("message_id", C1, "C", "visit in may"),
]
#: Anna is on all of her mail, so she is known to each thread, which must prove nothing.
KNOWN = {
    "A": frozenset({KIM.key, ANNA.key, ANNAS_ALIAS.key}),
    "B": frozenset({LEE.key, ANNA.key}),
    "C": frozenset({KIM.key, ANNA.key}),
}

type Expected = tuple[str, KeyKind] | None
NOT_OURS: Expected = None
A_BY_CONVERSATION: Expected = ("A", "conversation")
A_BY_MESSAGE_ID: Expected = ("A", "message_id")
A_BY_INDEX: Expected = ("A", "conversation_index")
B_BY_MESSAGE_ID: Expected = ("B", "message_id")

UNRELATED: dict[str, Any] = {"sender": STRANGER, "to": (ANNA,)}
FROM_KIM: dict[str, Any] = {"sender": KIM, "to": (ANNA,)}
OTHER_SUBJECT: dict[str, Any] = {"subject": "Something new"}


def mail(*, keys: dict[str, Any], subject: str = "RE: Offer", **fields: Any) -> MailboxMessage:
    """A message of Anna's mailbox; by itself from a stranger."""
    keys = {"internet_message_id": "<this@elsewhere.example>"} | keys
    who: dict[str, Any] = {"sender": STRANGER, "to": (ANNA,)}
    return MailboxMessage("AAk1", ThreadKeys(**keys), subject, **(who | fields))


def judged(message: MailboxMessage, anchors: list[Anchor] = ANCHORS) -> Verdict:
    """The verdict as the flow asks for it: only the anchors that were looked up are known."""
    asked = keys_to_look_up(message.keys)
    found = [a for a in anchors if (a.kind, a.value) in asked]
    return decide(message, found, own_addresses=OWN, known_to_thread=KNOWN)


def outcome(verdict: Verdict) -> Expected:
    """The verdict as the table writes it."""
    return (verdict.thread_id, verdict.matched_by) if isinstance(verdict, Belongs) else None


def keys(**values: Any) -> dict[str, Any]:
    """Thread keys by their short names in the table."""
    names = {"reply": "in_reply_to", "refs": "references", "conv": "conversation_id", "guid": "conversation_guid"}
    return {names.get(name, name): value for name, value in values.items()}


def chain(length: int, **ours: str) -> tuple[str, ...]:
    """A References list of strangers' ids, with one of ours `at_<place>` from the oldest."""
    ids = [f"<{i}@elsewhere.example>" for i in range(length)]
    for place, value in ours.items():
        ids[int(place.removeprefix("at_"))] = value
    return tuple(ids)


CASES: list[tuple[str, Expected, dict[str, Any], dict[str, Any]]] = [
    # one key alone
    ("an answer to our message", A_BY_MESSAGE_ID, keys(reply=A1), UNRELATED),
    ("an answer under an edited subject", A_BY_MESSAGE_ID, keys(reply=A1), OTHER_SUBJECT),
    ("a reference, the subject the same", A_BY_MESSAGE_ID, keys(refs=(A1,)), UNRELATED),
    ("a reference, the subject another", NOT_OURS, keys(refs=(A1,)), OTHER_SUBJECT),
    ("a reference, no subject", NOT_OURS, keys(refs=(A1,)), {"subject": ""}),
    ("a reference, the subject longer", NOT_OURS, keys(refs=(A1,)), {"subject": "RE: Offer (final)"}),
    ("the index", A_BY_INDEX, keys(guid="guid-a"), UNRELATED),
    ("the index under an edited subject", A_BY_INDEX, keys(guid="guid-a"), OTHER_SUBJECT),
    ("the conversation, from Kim", A_BY_CONVERSATION, keys(conv="conv-a"), FROM_KIM),
    ("the conversation, edited subject", A_BY_CONVERSATION, keys(conv="conv-a"), FROM_KIM | OTHER_SUBJECT),
    ("the conversation, nobody known", NOT_OURS, keys(conv="conv-a"), UNRELATED),
    ("no key at all", NOT_OURS, keys(internet_message_id=""), FROM_KIM),
    ("keys that lead nowhere", NOT_OURS, keys(reply=OTHER, refs=(OTHER,), conv="conv-x", guid="guid-x"), FROM_KIM),
    ("its own id is one of ours", NOT_OURS, keys(internet_message_id=A1), FROM_KIM),
    ("a GUID where the conversation id stands", NOT_OURS, keys(conv="guid-a"), FROM_KIM),
    ("a conversation id where the GUID stands", NOT_OURS, keys(guid="conv-a"), FROM_KIM),
    # several keys to one thread
    ("conversation and answer", A_BY_CONVERSATION, keys(conv="conv-a", reply=A1), UNRELATED),
    ("conversation and index", A_BY_CONVERSATION, keys(conv="conv-a", guid="guid-a"), UNRELATED),
    ("answer and index", A_BY_MESSAGE_ID, keys(reply=A1, guid="guid-a"), UNRELATED),
    ("all three", A_BY_CONVERSATION, keys(conv="conv-a", reply=A1, guid="guid-a"), UNRELATED),
    ("conversation and reference", A_BY_CONVERSATION, keys(conv="conv-a", refs=(A1,)), UNRELATED),
    ("index and a reference under another subject", A_BY_INDEX, keys(guid="guid-a", refs=(A1,)), OTHER_SUBJECT),
    ("conversation and a reference, other subject", NOT_OURS, keys(conv="conv-a", refs=(A1,)), OTHER_SUBJECT),
    ("the same, from Kim", A_BY_CONVERSATION, keys(conv="conv-a", refs=(A1,)), FROM_KIM | OTHER_SUBJECT),
    ("a foreign answer with our reference", A_BY_MESSAGE_ID, keys(reply=OTHER, refs=(A1, OTHER)), UNRELATED),
    ("answer and reference, other subject", A_BY_MESSAGE_ID, keys(reply=A1, refs=(A1,)), OTHER_SUBJECT),
    # unrelated mail that shares the conversation id, as equal subjects can
    ("a collision that answers elsewhere", NOT_OURS, keys(conv="conv-a", reply=OTHER), UNRELATED),
    ("a collision with an index of its own", NOT_OURS, keys(conv="conv-a", guid="guid-x"), UNRELATED),
    ("a collision from somebody of another thread", NOT_OURS, keys(conv="conv-a"), {"sender": LEE}),
    ("Kim answers elsewhere in it", A_BY_CONVERSATION, keys(conv="conv-a", reply=OTHER), FROM_KIM),
    # keys to different threads: an answer beats references, the newest reference the older, then index, then conversation
    ("answer to A, conversation of B", A_BY_MESSAGE_ID, keys(reply=A1, conv="conv-b"), UNRELATED),
    ("answer to A, reference to B", A_BY_MESSAGE_ID, keys(reply=A1, refs=(A1, B1)), UNRELATED),
    ("answer to A, index and conversation of B", A_BY_MESSAGE_ID, keys(reply=A1, guid="guid-b", conv="conv-b"), {}),
    ("answer to B, index and conversation of A", B_BY_MESSAGE_ID, keys(reply=B1, guid="guid-a", conv="conv-a"), {}),
    ("references to A, then B", B_BY_MESSAGE_ID, keys(refs=(A1, B1)), UNRELATED),
    ("references to B, then A", A_BY_MESSAGE_ID, keys(refs=(B1, A1)), UNRELATED),
    ("references to A, then one under another subject", A_BY_MESSAGE_ID, keys(refs=(A1, C1)), UNRELATED),
    ("reference to A, index of B", A_BY_MESSAGE_ID, keys(refs=(A1,), guid="guid-b"), UNRELATED),
    ("index of A, conversation of B", A_BY_INDEX, keys(guid="guid-a", conv="conv-b"), UNRELATED),
    ("index of A, conversation of B, from Lee", A_BY_INDEX, keys(guid="guid-a", conv="conv-b"), {"sender": LEE}),
    # who is on it, where only the conversation matches
    ("Anna to herself", NOT_OURS, keys(conv="conv-a"), {"sender": ANNA, "to": (ANNA,)}),
    ("Anna by her alias to herself", NOT_OURS, keys(conv="conv-a"), {"sender": ANNAS_ALIAS, "to": (ANNA,)}),
    ("Anna to a stranger", NOT_OURS, keys(conv="conv-a"), {"sender": ANNA, "to": (STRANGER,)}),
    ("Anna to Kim", A_BY_CONVERSATION, keys(conv="conv-a"), {"sender": ANNA, "to": (KIM,)}),
    ("Kim in cc", A_BY_CONVERSATION, keys(conv="conv-a"), {"sender": ANNA, "to": (STRANGER,), "cc": (KIM,)}),
    ("Kim in bcc", A_BY_CONVERSATION, keys(conv="conv-a"), {"sender": ANNA, "to": (STRANGER,), "bcc": (KIM,)}),
    ("Kim in capitals", A_BY_CONVERSATION, keys(conv="conv-a"), {"sender": Address(" KIM@Customer.EXAMPLE ")}),
    ("nobody on it", NOT_OURS, keys(conv="conv-a"), {"sender": None, "to": ()}),
    ("nobody on it, by the index", A_BY_INDEX, keys(guid="guid-a"), {"sender": None, "to": ()}),
    # what people do with mail inside their company
    (
        "an internal forward",
        A_BY_CONVERSATION,
        keys(conv="conv-a", guid="guid-a", refs=(A1,)),
        {"subject": "FW: Offer", "sender": ANNA, "to": (COLLEAGUE,)},
    ),
    (
        "a forward under a new subject",
        A_BY_INDEX,
        keys(guid="guid-a", refs=(A1,)),
        {"subject": "Please read", "sender": ANNA, "to": (COLLEAGUE,)},
    ),
    ("a colleague's reply to all", A_BY_CONVERSATION, keys(conv="conv-a"), {"sender": COLLEAGUE, "to": (ANNA, KIM)}),
    ("a colleague's reply to Anna alone", NOT_OURS, keys(conv="conv-a"), {"sender": COLLEAGUE, "to": (ANNA,)}),
    # drafts
    (
        "a draft with every key",
        NOT_OURS,
        keys(reply=A1, refs=(A1,), conv="conv-a", guid="guid-a"),
        FROM_KIM | {"is_draft": True},
    ),
    ("a draft of an answer", NOT_OURS, keys(reply=A1), {"sender": ANNA, "to": (KIM,), "is_draft": True}),
    # long References lists: the oldest and the newest are looked up
    ("our id the oldest of many", A_BY_MESSAGE_ID, keys(refs=chain(200, at_0=A1)), UNRELATED),
    ("our id the newest of many", A_BY_MESSAGE_ID, keys(refs=chain(200, at_199=A1)), UNRELATED),
    ("the last that is looked up", A_BY_MESSAGE_ID, keys(refs=chain(200, at_189=A1)), UNRELATED),
    ("the first that is not", NOT_OURS, keys(refs=chain(200, at_188=A1)), UNRELATED),
    ("second of twelve", A_BY_MESSAGE_ID, keys(refs=chain(12, at_1=A1)), UNRELATED),
    ("second of thirteen", NOT_OURS, keys(refs=chain(13, at_1=A1)), UNRELATED),
    # reply marks do not make another subject
    ("marked in German", A_BY_MESSAGE_ID, keys(refs=(A1,)), {"subject": "AW: WG: Offer"}),
    ("marked in Chinese", A_BY_MESSAGE_ID, keys(refs=(A1,)), {"subject": "回复：Offer"}),
    ("marked in Italian", A_BY_MESSAGE_ID, keys(refs=(A1,)), {"subject": "R: I: Offer"}),
    ("marked in Turkish", A_BY_MESSAGE_ID, keys(refs=(A1,)), {"subject": "YNT: İLT: Offer"}),
    ("counted marks", A_BY_MESSAGE_ID, keys(refs=(A1,)), {"subject": "Re[3]: OFFER"}),
    ("full-width letters", A_BY_MESSAGE_ID, keys(refs=(A1,)), {"subject": "ＲＥ： Ｏｆｆｅｒ"}),
    ("a word that is no mark", NOT_OURS, keys(refs=(A1,)), {"subject": "Tax: Offer"}),
    # ids are compared as they are (RFC 5322 3.6.4); adapters bring them with their brackets
    ("our id in other case", NOT_OURS, keys(reply=A1.upper()), FROM_KIM),
    ("our id without brackets", NOT_OURS, keys(reply=A1.strip("<>")), FROM_KIM),
    ("our GUID in other case", NOT_OURS, keys(guid="GUID-A"), FROM_KIM),
]


@pytest.mark.parametrize(("_name", "expected", "of_keys", "fields"), CASES, ids=[case[0] for case in CASES])
def test_the_table(_name: str, expected: Expected, of_keys: dict[str, Any], fields: dict[str, Any]) -> None:
    """A message belongs to the thread that its strongest key leads to, or to none."""
    assert outcome(judged(mail(keys=of_keys, **fields))) == expected


def test_an_empty_key_never_matches() -> None:
    """An anchor without a value, were one ever stored, does not take in every message without that key."""
    kinds: list[KeyKind] = ["message_id", "conversation", "conversation_index"]
    anchors = [Anchor(kind, "", "A", "offer") for kind in kinds]
    nothing = mail(keys=keys(internet_message_id=""), **FROM_KIM)
    assert not isinstance(decide(nothing, anchors, own_addresses=OWN, known_to_thread=KNOWN), Belongs)


def test_a_thread_nobody_is_known_of_needs_a_stronger_key() -> None:
    """Where it is not known who is on a thread, the conversation id alone proves nothing."""
    message = mail(keys=keys(conv="conv-a"), **FROM_KIM)
    verdict = decide(message, ANCHORS, own_addresses=OWN, known_to_thread={})
    assert not isinstance(verdict, Belongs)


@pytest.mark.parametrize(
    ("of_keys", "wanted"),
    [
        ({}, []),
        (keys(internet_message_id=A1), []),
        (keys(reply=A1, refs=(A1,)), [("message_id", A1)]),
        (keys(refs=(B1, A1, B1)), [("message_id", B1), ("message_id", A1)]),
        (keys(conv="c", guid="c"), [("conversation", "c"), ("conversation_index", "c")]),
    ],
)
def test_each_key_is_looked_up_once(of_keys: dict[str, Any], wanted: list[tuple[KeyKind, str]]) -> None:
    """No point read is paid for twice, and none for the message's own id."""
    assert keys_to_look_up(ThreadKeys(**of_keys)) == wanted


def test_a_long_list_costs_a_fixed_number_of_reads() -> None:
    """However long References is, what is looked up has an end."""
    assert len(keys_to_look_up(ThreadKeys(references=chain(5_000)))) == MAX_REFERENCES


def test_the_chain_grows_by_every_synced_message() -> None:
    """An answer to an answer is recognised even where nothing of the first email is left in it."""
    first = mail(keys=keys(internet_message_id="<k1@customer.example>", reply=A1, conv="conv-k"), **FROM_KIM)
    learned = anchors_of(first, "A")
    assert learned == [
        Anchor("message_id", "<k1@customer.example>", "A", "offer"),
        Anchor("conversation", "conv-k", "A"),
    ]
    second = mail(keys=keys(reply="<k1@customer.example>"))
    assert outcome(judged(second)) is None
    assert outcome(judged(second, ANCHORS + learned)) == A_BY_MESSAGE_ID


def test_every_key_tried_is_accounted_for() -> None:
    """`explain` can show each key of the message with what came of it, once each, in plain words."""
    message = mail(keys=keys(reply=OTHER, refs=(C1, OTHER, B1), conv="conv-a", guid="guid-x"))
    verdict = judged(message)
    assert outcome(verdict) == B_BY_MESSAGE_ID
    assert [(t.kind, t.value, t.matched) for t in verdict.tried] == [
        ("message_id", OTHER, False),
        ("message_id", B1, True),
        ("message_id", C1, False),
        ("conversation_index", "guid-x", False),
        ("conversation", "conv-a", True),
    ]
    assert {t.value: t.why for t in verdict.tried}[C1].endswith("but the subject is another")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (mail(keys=keys(reply=A1), is_draft=True), "it is a draft"),
        (mail(keys=keys(reply=OTHER)), "no key leads to a thread begun from the CRM"),
        (
            mail(keys=keys(conv="conv-a")),
            "only the conversation id matches, and nobody on the message is known to the thread",
        ),
    ],
)
def test_a_no_says_why(message: MailboxMessage, why: str) -> None:
    """Each way of not belonging has its own words."""
    verdict = judged(message)
    assert isinstance(verdict, DoesNotBelong)
    assert verdict.why == why


@pytest.mark.parametrize(
    ("of_keys", "threads"),
    [
        ({}, []),
        ({"in_reply_to": A1}, ["A"]),
        ({"in_reply_to": OTHER}, []),
        ({"references": (OTHER, A1)}, ["A"]),
        ({"references": (A1, B1)}, ["B", "A"]),
        ({"conversation_id": "conv-a"}, ["A"]),
        ({"conversation_guid": "guid-a"}, ["A"]),
        ({"in_reply_to": OTHER, "conversation_id": "conv-a"}, []),
        ({"in_reply_to": OTHER, "references": (A1, OTHER)}, []),
        ({"in_reply_to": OTHER, "conversation_guid": "guid-a"}, ["A"]),
        ({"in_reply_to": A1, "conversation_id": "conv-b"}, ["A", "B"]),
        ({"in_reply_to": A1, "conversation_guid": "guid-a", "conversation_id": "conv-a"}, ["A"]),
    ],
)
def test_where_a_delivery_report_leads(of_keys: dict[str, Any], threads: list[str]) -> None:
    """Without people and subject, which are a server's; but not by a conversation alone, if it names another email."""
    assert threads_of_report(ThreadKeys(**of_keys), ANCHORS) == threads
