"""
The thread rule: does a message of the mailbox belong to a thread that this connection began from the CRM?

Direction and folder do not matter. A message belongs by any of three keys, and each synced message adds its own keys, so the
chain grows:

    conversation         Graph's conversationId is that of a message of the thread
    message_id           In-Reply-To names a message of the thread; or References does, and the base subject is the same
                         as that message's (a References list is copied along when somebody starts something new)
    conversation_index   the GUID of the conversation index is that of a message of the thread

A conversationId alone is weak: it is derived from the subject where Exchange has nothing better, so unrelated mail with an
equal subject can share it ([MS-OXOMSG] 2.2.1.2, microsoft-graph-docs#869). When it is the only key that matches, somebody who
wrote or got the message must be known to the thread, besides the mailbox's owner.

Everything here is a function of its arguments.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sync.domain.mail import MailboxMessage, ThreadKeys, base_subject

KeyKind = Literal["conversation", "message_id", "conversation_index"]

#: References lists grow without end; the oldest is the thread's root, the newest the nearest parent. So many are looked up.
MAX_REFERENCES = 12


@dataclass(frozen=True)
class Anchor:
    """A stored key: which thread it leads to, and for a message id, the base subject of that message."""

    kind: KeyKind
    value: str
    thread_id: str
    base_subject: str = ""


@dataclass(frozen=True)
class Tried:
    """One key of the message that was looked up, and what came of it, in words a person understands."""

    kind: KeyKind
    value: str
    matched: bool
    why: str


@dataclass(frozen=True)
class Belongs:
    """It is part of this thread, by this key."""

    thread_id: str
    matched_by: KeyKind
    tried: tuple[Tried, ...]


@dataclass(frozen=True)
class DoesNotBelong:
    """It is none of ours: nothing more of it may be read."""

    tried: tuple[Tried, ...]
    why: str


Verdict = Belongs | DoesNotBelong


def keys_to_look_up(keys: ThreadKeys) -> list[tuple[KeyKind, str]]:
    """The keys whose anchors `decide` needs, each once: the message's own id is not among them."""
    references = keys.references
    if len(references) > MAX_REFERENCES:
        references = (references[0], *references[-(MAX_REFERENCES - 1) :])
    wanted: list[tuple[KeyKind, str]] = [("message_id", keys.in_reply_to), *(("message_id", r) for r in references)]
    wanted += [("conversation", keys.conversation_id), ("conversation_index", keys.conversation_guid)]
    return list(dict.fromkeys((kind, value) for kind, value in wanted if value))


def anchors_of(message: MailboxMessage, thread_id: str) -> list[Anchor]:
    """The keys that a message of a thread adds to it."""
    keys = message.keys
    own = [
        Anchor("message_id", keys.internet_message_id, thread_id, base_subject(message.subject)),
        Anchor("conversation", keys.conversation_id, thread_id),
        Anchor("conversation_index", keys.conversation_guid, thread_id),
    ]
    return [anchor for anchor in own if anchor.value]


def threads_of_report(keys: ThreadKeys, anchors: Iterable[Anchor]) -> list[str]:
    """
    The threads that a delivery report may be about, the most likely first: only then is the report read.

    It is written by a server, often a stranger to the thread, with a subject of its own: neither people nor subject count.
    In-Reply-To names the email that it is about; where that is none of a thread, References and conversation say nothing.
    """
    found = {(a.kind, a.value): a.thread_id for a in anchors}
    named = found.get(("message_id", keys.in_reply_to))
    threads = [named, found.get(("conversation_index", keys.conversation_guid))]
    if named is not None or not keys.in_reply_to:
        threads += [found.get(("message_id", reference)) for reference in reversed(keys.references)]
        threads.append(found.get(("conversation", keys.conversation_id)))
    return list(dict.fromkeys(thread for thread in threads if thread is not None))


def decide_on_report(keys: ThreadKeys, anchors: Iterable[Anchor], held: Collection[str]) -> Verdict:
    """
    Decide which thread a delivery report may be about. `held`: those of the threads its keys lead to that are the connection's.

    What matched is as `threads_of_report` has it: subject and people are not asked for.
    """
    found = {(a.kind, a.value): a.thread_id for a in anchors}
    threads = [
        thread for thread in threads_of_report(keys, [Anchor(*k, t) for k, t in found.items()]) if thread in held
    ]
    tried: list[Tried] = []
    for kind, value in keys_to_look_up(keys):
        matched = found.get((kind, value)) in threads
        tried.append(
            Tried(kind, value, matched, f"it leads to {'a' if matched else 'no'} thread that a report can be about")
        )
    if not threads:
        return DoesNotBelong(tuple(tried), "no key leads to a thread begun from the CRM")
    matched_by = next(t.kind for t in tried if t.matched and found[t.kind, t.value] == threads[0])
    return Belongs(threads[0], matched_by, tuple(tried))


def decide(
    message: MailboxMessage,
    anchors: Iterable[Anchor],
    *,
    own_addresses: frozenset[str],
    known_to_thread: Mapping[str, frozenset[str]],
) -> Verdict:
    """
    Decide on one message.

    Args:
        message: keys and addresses; no content is needed.

        anchors: what was found under `keys_to_look_up`.

        own_addresses: address keys of the mailbox itself; they prove nothing, since they are on all of its mail.

        known_to_thread: for each thread that an anchor leads to, the address keys of everybody seen on it.
    """
    if message.is_draft:
        return DoesNotBelong((), "it is a draft")
    found = {(a.kind, a.value): a for a in anchors}
    tried: list[Tried] = []
    hits: list[tuple[KeyKind, str]] = []  # strongest claim on a thread first

    def look(kind: KeyKind, value: str, what: str, *, same_subject: bool = False) -> None:
        if not value:
            return
        anchor = found.get((kind, value))
        if anchor is None:
            tried.append(Tried(kind, value, matched=False, why=f"{what} leads to no thread"))
        elif same_subject and anchor.base_subject != base_subject(message.subject):
            tried.append(
                Tried(kind, value, matched=False, why=f"{what} names a message of a thread, but the subject is another")
            )
        else:
            tried.append(Tried(kind, value, matched=True, why=f"{what} leads to a thread"))
            hits.append((kind, anchor.thread_id))

    keys = message.keys
    look("message_id", keys.in_reply_to, "In-Reply-To")
    for reference in reversed(keys.references):
        if reference != keys.in_reply_to:
            look("message_id", reference, "References", same_subject=True)
    look("conversation_index", keys.conversation_guid, "the conversation index")
    look("conversation", keys.conversation_id, "the conversation id")

    if not hits:
        return DoesNotBelong(tuple(tried), "no key leads to a thread begun from the CRM")
    thread_id = hits[0][1]
    kinds = {kind for kind, thread in hits if thread == thread_id}
    if kinds == {"conversation"} and not (message.participants - own_addresses) & known_to_thread.get(
        thread_id, frozenset()
    ):
        return DoesNotBelong(
            tuple(tried), "only the conversation id matches, and nobody on the message is known to the thread"
        )
    order: tuple[KeyKind, ...] = ("conversation", "message_id", "conversation_index")
    return Belongs(thread_id, next(kind for kind in order if kind in kinds), tuple(tried))
