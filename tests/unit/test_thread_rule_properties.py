"""The thread rule on any mail: what is true whatever the keys, the addresses and the threads are."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sync.domain.mail import Address, MailboxMessage, ThreadKeys
from sync.domain.thread_rule import Anchor, Belongs, DoesNotBelong, Tried, anchors_of, decide, keys_to_look_up

# Few values, so that keys meet anchors and addresses meet threads often.
ids = st.sampled_from(["", "<1@x.example>", "<2@x.example>", "<3@x.example>", "<4@x.example>"])
conversations = st.sampled_from(["", "conv-1", "conv-2", "conv-3"])
guids = st.sampled_from(["", "guid-1", "guid-2", "guid-3"])
subjects = st.sampled_from(["Offer", "RE: Offer", "AW: offer", "Visit", "", "Re:"])
threads = st.sampled_from(["A", "B"])
people = st.sampled_from([Address(f"{name}@x.example") for name in ("anna", "kim", "lee", "max")])
own_addresses = st.frozensets(st.sampled_from(["anna@x.example", "lee@x.example"]))
known_to_thread = st.dictionaries(threads, st.frozensets(people.map(lambda p: p.key)))

thread_keys = st.builds(
    ThreadKeys,
    internet_message_id=ids,
    in_reply_to=ids,
    references=st.lists(ids.filter(bool), max_size=4).map(tuple),
    conversation_id=conversations,
    conversation_guid=guids,
)
mails = st.builds(
    MailboxMessage,
    graph_id=st.just("AAk1"),
    keys=thread_keys,
    subject=subjects,
    sender=st.none() | people,
    to=st.lists(people, max_size=2).map(tuple),
    cc=st.lists(people, max_size=1).map(tuple),
    bcc=st.just(()),
    is_draft=st.booleans(),
    sent_at=st.none(),
    received_at=st.none(),
    stamp=st.just(""),
    auto_reply=st.booleans(),
)
received = mails.map(lambda mail: replace(mail, is_draft=False))

one_anchor = (
    st.builds(Anchor, st.just("message_id"), ids.filter(bool), threads, st.sampled_from(["offer", "visit", ""]))
    | st.builds(Anchor, st.just("conversation"), conversations.filter(bool), threads)
    | st.builds(Anchor, st.just("conversation_index"), guids.filter(bool), threads)
)
#: As stored: a key leads to one thread.
stored = st.lists(one_anchor, unique_by=lambda a: (a.kind, a.value), max_size=8)


@given(mails, stored, own_addresses, known_to_thread)
def test_a_draft_never_belongs(
    mail: MailboxMessage, anchors: list[Anchor], own: frozenset[str], known: dict[str, frozenset[str]]
) -> None:
    """Nothing unsent reaches the CRM."""
    draft = replace(mail, is_draft=True)
    assert isinstance(decide(draft, anchors, own_addresses=own, known_to_thread=known), DoesNotBelong)


@given(mails, own_addresses, known_to_thread)
def test_without_anchors_nothing_belongs(
    mail: MailboxMessage, own: frozenset[str], known: dict[str, frozenset[str]]
) -> None:
    """What no thread of ours has touched is never read, even if everybody on it is a contact."""
    assert isinstance(decide(mail, [], own_addresses=own, known_to_thread=known), DoesNotBelong)


@given(mails, stored, own_addresses, known_to_thread, st.randoms())
def test_the_order_of_anchors_does_not_matter(
    mail: MailboxMessage,
    anchors: list[Anchor],
    own: frozenset[str],
    known: dict[str, frozenset[str]],
    dice: random.Random,
) -> None:
    """Anchors are read at the same time, so they come in any order."""
    shuffled = list(anchors)
    dice.shuffle(shuffled)
    verdicts = [decide(mail, each, own_addresses=own, known_to_thread=known) for each in (anchors, shuffled)]
    assert verdicts[0] == verdicts[1]


@given(mails, stored, own_addresses, known_to_thread)
def test_only_what_is_looked_up_counts(
    mail: MailboxMessage, anchors: list[Anchor], own: frozenset[str], known: dict[str, frozenset[str]]
) -> None:
    """`keys_to_look_up` asks for all that `decide` needs."""
    asked = keys_to_look_up(mail.keys)
    found = [a for a in anchors if (a.kind, a.value) in asked]
    on_found = decide(mail, found, own_addresses=own, known_to_thread=known)
    assert on_found == decide(mail, anchors, own_addresses=own, known_to_thread=known)


@given(received, received, stored, own_addresses, known_to_thread)
def test_an_answer_to_a_message_of_a_thread_belongs(
    mail: MailboxMessage,
    answer: MailboxMessage,
    anchors: list[Anchor],
    own: frozenset[str],
    known: dict[str, frozenset[str]],
) -> None:
    """Whatever else is in it and whoever wrote it: what answers a synced message is of the same thread."""
    mail = replace(mail, keys=replace(mail.keys, internet_message_id="<new@x.example>"))
    answer = replace(answer, keys=replace(answer.keys, in_reply_to="<new@x.example>"))
    known_keys = {(a.kind, a.value) for a in anchors}
    grown = anchors + [a for a in anchors_of(mail, "A") if (a.kind, a.value) not in known_keys]
    verdict = decide(answer, grown, own_addresses=own, known_to_thread=known)
    assert isinstance(verdict, Belongs)
    assert verdict.thread_id == "A"


@given(mails, stored, own_addresses, known_to_thread)
def test_a_yes_has_a_reason(
    mail: MailboxMessage, anchors: list[Anchor], own: frozenset[str], known: dict[str, frozenset[str]]
) -> None:
    """`matched_by` names a key that the message carries and that leads to this very thread."""
    verdict = decide(mail, anchors, own_addresses=own, known_to_thread=known)
    if isinstance(verdict, Belongs):
        leading = {(a.kind, a.value) for a in anchors if a.thread_id == verdict.thread_id}
        assert any(t.matched and t.kind == verdict.matched_by and (t.kind, t.value) in leading for t in verdict.tried)
    matched = [t for t in verdict.tried if t.matched]
    assert all(isinstance(t, Tried) and (t.kind, t.value) in {(a.kind, a.value) for a in anchors} for t in matched)


@given(received, stored, own_addresses, known_to_thread)
def test_ones_own_addresses_prove_nothing(
    mail: MailboxMessage, anchors: list[Anchor], own: frozenset[str], known: dict[str, frozenset[str]]
) -> None:
    """Mail on which there is nobody but the owner never belongs by its conversation id alone."""
    alone = replace(mail, sender=None, to=tuple(Address(key.upper()) for key in own), cc=(), bcc=())
    only_conversation = [a for a in anchors if a.kind == "conversation"]
    verdict = decide(alone, only_conversation, own_addresses=own, known_to_thread=known)
    assert isinstance(verdict, DoesNotBelong)
