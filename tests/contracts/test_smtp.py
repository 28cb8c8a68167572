"""The promises of submission to a provider: one suite on the fake and on the adapter at a server with TLS and a login."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sync.domain.errors import Declined, Throttled, Unclear
from sync.domain.provider import Security, ServerReply
from tests.contracts.smtp_stages import FakeSmtpStage, Received, SinkStage, SmtpStage, email, running_sink

ADA, BOB, CLEO = "ada@customer.example", "bob@customer.example", "cleo@customer.example"
SECURITIES: list[Security] = ["starttls", "tls"]


@pytest.fixture(params=["fake", "sink"])
async def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmtpStage]:
    """A server that asks for a login."""
    if request.param == "fake":
        yield FakeSmtpStage()
        return
    async with running_sink() as sink:
        monkeypatch.setenv("SSL_CERT_FILE", str(sink.certificate_path))
        yield SinkStage(sink)


async def sent(stage: SmtpStage, *recipients: str) -> None:
    """Offer an email to these, and hand it over."""
    async with stage.smtp.submission(stage.provider(), email(), recipients) as offered:
        await offered.hand_over()


@pytest.mark.parametrize("security", SECURITIES)
async def test_an_email_reaches_the_recipients_of_the_envelope(stage: SmtpStage, security: Security) -> None:
    """By STARTTLS and by TLS; each recipient once, in order; who is in no header, too."""
    async with stage.smtp.submission(stage.provider(security), email(), [ADA, BOB, CLEO, ADA]) as offered:
        assert offered.accepted == (ADA, BOB, CLEO)
        assert (dict(offered.deferred), dict(offered.refused)) == ({}, {})
        assert stage.received == []
        await offered.hand_over()
    assert stage.received == [
        Received("offers@news.example", (ADA, BOB, CLEO), "<msg_1@news.example>", "Our offer"),
    ]


@pytest.mark.parametrize("security", SECURITIES)
async def test_a_check_sends_nothing(stage: SmtpStage, security: Security) -> None:
    """It connects, encrypts and logs in; again and again."""
    for _ in range(2):
        await stage.smtp.check(stage.provider(security))
    assert stage.received == []


@pytest.mark.parametrize("security", SECURITIES)
async def test_a_wrong_password_is_declined(stage: SmtpStage, security: Security) -> None:
    """With the server's words, by the check and by a submission; never with the password."""
    wrong = stage.provider(security, password="hunter2")
    with pytest.raises(Declined) as checked:
        await stage.smtp.check(wrong)
    with pytest.raises(Declined) as offered:
        async with stage.smtp.submission(wrong, email(), [ADA]):
            pass
    for declined in (checked.value, offered.value):
        assert (declined.code, declined.status, declined.stage) == ("smtp_535", 535, "login")
        assert "Authentication credentials invalid" in declined.detail
        assert "hunter2" not in declined.detail
    assert stage.received == []


async def test_a_login_that_is_put_off(stage: SmtpStage) -> None:
    """A server that can't look passwords up says "later", which is no wrong password (RFC 4954 6)."""
    stage.says("AUTH", "454 4.7.0 Temporary authentication failure")
    with pytest.raises(Throttled) as later:
        await stage.smtp.check(stage.provider())
    assert (later.value.stage, later.value.detail) == ("login", "454 4.7.0 Temporary authentication failure")
    await stage.smtp.check(stage.provider())


async def test_a_sender_the_server_refuses(stage: SmtpStage) -> None:
    """5yz to MAIL is a no to the whole email; the next one is a new matter."""
    stage.says("MAIL", "553 5.7.1 Sender not owned by user")
    with pytest.raises(Declined) as declined:
        await sent(stage, ADA)
    assert (declined.value.code, declined.value.status) == ("smtp_553", 553)
    assert declined.value.detail == "553 5.7.1 Sender not owned by user"
    assert stage.received == []
    await sent(stage, ADA)
    assert len(stage.received) == 1


@pytest.mark.parametrize("command", ["MAIL", "DATA"])
async def test_a_server_that_says_later(stage: SmtpStage, command: str) -> None:
    """4yz: not done, to be tried again; to the email as a whole, before and after it was handed over."""
    stage.says(command, "451 4.3.0 Try again later")  # type: ignore[arg-type]
    with pytest.raises(Throttled) as later:
        await sent(stage, ADA)
    assert later.value.detail == "451 4.3.0 Try again later"
    assert stage.received == []


async def test_content_the_server_refuses(stage: SmtpStage) -> None:
    """5yz after the data: the server has it and did not take it."""
    stage.says("DATA", "554 5.6.0 Message content rejected")
    with pytest.raises(Declined) as declined:
        await sent(stage, ADA)
    assert (declined.value.code, declined.value.status) == ("smtp_554", 554)
    assert stage.received == []


async def test_each_recipient_has_an_answer_of_its_own(stage: SmtpStage) -> None:
    """Accepted, to be asked again, refused: the email goes to who was accepted."""
    stage.says("RCPT", "550 5.1.1 No such user", recipient=ADA)
    stage.says("RCPT", "450 4.2.1 Mailbox busy", recipient=CLEO)
    async with stage.smtp.submission(stage.provider(), email(), [ADA, BOB, CLEO]) as offered:
        assert offered.accepted == (BOB,)
        assert dict(offered.refused) == {ADA: ServerReply(550, "5.1.1 No such user")}
        assert dict(offered.deferred) == {CLEO: ServerReply(450, "4.2.1 Mailbox busy")}
        await offered.hand_over()
    assert [one.recipients for one in stage.received] == [(BOB,)]


async def test_nobody_accepted(stage: SmtpStage) -> None:
    """Then there is nothing to hand over, and doing it all the same is our own mistake."""
    stage.says("RCPT", "550 5.1.1 No such user", recipient=ADA)
    async with stage.smtp.submission(stage.provider(), email(), [ADA]) as offered:
        assert offered.accepted == ()
        with pytest.raises(RuntimeError):
            await offered.hand_over()
    assert stage.received == []


async def test_an_offer_can_be_left(stage: SmtpStage) -> None:
    """Nothing is sent where it is not handed over."""
    async with stage.smtp.submission(stage.provider(), email(), [ADA]):
        pass
    assert stage.received == []


async def test_an_email_is_handed_over_once(stage: SmtpStage) -> None:
    """The same offer does not send two."""
    async with stage.smtp.submission(stage.provider(), email(), [ADA]) as offered:
        await offered.hand_over()
        with pytest.raises(RuntimeError):
            await offered.hand_over()
    assert len(stage.received) == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
async def test_a_connection_cut_before_the_email(stage: SmtpStage, command: str) -> None:
    """Unclear by name alone: nothing was handed over."""
    stage.cuts(command)  # type: ignore[arg-type]
    with pytest.raises(Unclear):
        await sent(stage, ADA)
    assert stage.received == []


@pytest.mark.parametrize("applied", [False, True])
async def test_a_lost_answer_to_the_email(stage: SmtpStage, applied: bool) -> None:
    """It may have gone or not: nothing but the server knows."""
    stage.cuts("DATA", applied=applied)
    with pytest.raises(Unclear):
        await sent(stage, ADA)
    assert len(stage.received) == applied


async def test_letters_of_any_script(stage: SmtpStage) -> None:
    """In subject, name and both sides of an address."""
    grete = "grete.müller@bücher.example"
    asked = replace(email(subject="Grüße 你好 👋"), to=(replace(email().to[0], address=grete, name="Grete Müller"),))
    async with stage.smtp.submission(stage.provider(), asked, [grete]) as offered:
        assert offered.accepted == (grete,)
        await offered.hand_over()
    (received,) = stage.received
    assert received.subject == "Grüße 你好 👋"
    assert received.recipients in ((grete,), ("grete.müller@xn--bcher-kva.example",))
