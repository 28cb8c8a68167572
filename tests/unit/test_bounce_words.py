"""What a bounce means for the person who sent the email: by status code, in words that help."""

import pytest

from sync.domain.bounce_words import explained, what_to_do
from sync.domain.message import Bounce

CASES = [
    ("5.1.1", "typing mistakes"),
    ("5.1.10", "typing mistakes"),
    ("5.2.1", "typing mistakes"),
    ("5.1.2", "behind the @"),
    ("5.4.1", "behind the @"),
    ("5.4.310", "behind the @"),
    ("4.4.7", "behind the @"),
    ("5.2.2", "full"),
    ("4.2.2", "full"),
    ("5.2.3", "too large"),
    ("5.3.4", "too large"),
    ("5.7.1", "by its rules"),
    ("5.7.26", "by its rules"),
    ("5.1.8", "Your own mailbox"),
    ("5.1.90", "Your own mailbox"),
    ("5.7.501", "Your own mailbox"),
    ("5.7.708", "Your own mailbox"),
    ("4.3.2", "Try again later"),
    ("5.0.0", "server's words"),
    ("", "server's words"),
]


@pytest.mark.parametrize(("code", "words"), CASES)
def test_each_kind_of_code_has_its_advice(code: str, words: str) -> None:
    """A wrong address, a full mailbox, a server that says no, one's own fault: each is something else to do."""
    assert words in what_to_do(code)


def test_the_failed_addresses_are_named() -> None:
    """Each, up to three; of more how many there are."""
    bounces = [Bounce(f"{name}@x.example", "5.1.1", "") for name in "abcde"]
    assert explained(bounces[:1]).detail == "The email did not reach a@x.example."
    assert explained(bounces[:3]).detail == "The email did not reach a@x.example, b@x.example, c@x.example."
    assert explained(bounces).detail == "The email did not reach a@x.example, b@x.example, c@x.example and 2 more."


def test_each_advice_is_given_once() -> None:
    """Two wrong addresses and a full mailbox are two things to do, in order."""
    bounces = [
        Bounce("a@x.example", "5.1.1", ""),
        Bounce("b@x.example", "5.2.2", ""),
        Bounce("c@x.example", "5.1.1", ""),
    ]
    assert explained(bounces).what_to_do == f"{what_to_do('5.1.1')} {what_to_do('5.2.2')}"
