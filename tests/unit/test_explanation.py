"""The words in which a verdict of the thread rule is told, for each kind of message."""

from sync.domain import explanation
from sync.domain.explanation import Explanation
from sync.domain.mail import ThreadKeys
from sync.domain.thread_rule import Anchor, Belongs, DoesNotBelong, Tried, decide_on_report

HIT = Tried("message_id", "<a@x.example>", matched=True, why="In-Reply-To leads to a thread")
MISS = Tried("conversation", "c1", matched=False, why="the conversation id leads to no thread")
BELONGS = Belongs("thr_1", "message_id", (MISS, HIT))
DOES_NOT = DoesNotBelong((MISS,), "no key leads to a thread begun from the CRM")


def test_mail_of_a_thread() -> None:
    """The thread, the key, and why that key matched."""
    told = explanation.of_mail(BELONGS, is_withheld=False, message_id="msg_1")
    assert (told.belongs, told.syncs, told.thread_id, told.matched_by) == (True, True, "thr_1", "message_id")
    assert (told.why, told.keys, told.message_id) == (HIT.why, (MISS, HIT), "msg_1")


def test_mail_that_is_withheld() -> None:
    """It belongs and yet does not sync, by the setting that is named."""
    told = explanation.of_mail(BELONGS, is_withheld=True, message_id="")
    assert (told.belongs, told.syncs) == (True, False)
    assert "FORWARDED_MESSAGES" in told.why


def test_mail_of_no_thread() -> None:
    """The rule's own words, and the keys."""
    told = explanation.of_mail(DOES_NOT, is_withheld=False, message_id="")
    assert told == Explanation(DOES_NOT.why, keys=(MISS,))


def test_a_report_is_no_message() -> None:
    """Whether it leads to a thread or not, it does not sync, and says that it is a report."""
    about_ours = explanation.of_report(BELONGS, message_id="msg_1")
    assert (about_ours.belongs, about_ours.syncs, about_ours.message_id) == (True, False, "msg_1")
    others = explanation.of_report(DOES_NOT, message_id="")
    assert (others.belongs, others.syncs, others.thread_id) == (False, False, "")
    assert all("delivery report" in told.why for told in (about_ours, others))


def test_of_copies_the_one_that_syncs_counts() -> None:
    """Then the one that belongs, then one that is known."""
    order = [Explanation(""), Explanation("", message_id="m"), Explanation("", belongs=True)]
    order.append(Explanation("", belongs=True, syncs=True))
    assert sorted((order[3], order[1], order[2], order[0]), key=lambda told: told.rank) == order


def test_a_report_leads_to_threads_that_are_held() -> None:
    """A thread that another connection holds is none of ours, and each key says whether it counted."""
    anchors = [Anchor("message_id", "<a@x.example>", "A"), Anchor("conversation", "c", "B")]
    keys = ThreadKeys(in_reply_to="<a@x.example>", conversation_id="c", conversation_guid="g")
    verdict = decide_on_report(keys, anchors, {"A", "B"})
    assert isinstance(verdict, Belongs)
    assert (verdict.thread_id, verdict.matched_by) == ("A", "message_id")
    assert [(t.kind, t.matched) for t in verdict.tried] == [
        ("message_id", True),
        ("conversation", True),
        ("conversation_index", False),
    ]
    assert isinstance(decide_on_report(keys, anchors, set()), DoesNotBelong)
