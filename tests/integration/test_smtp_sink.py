"""The e-mail provider of the local cloud, spoken to with the standard library's own SMTP client."""

import asyncio
import base64
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from tests.cloud.smtp import Reply, SmtpSink

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"0" * 2_000


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpSink]:
    sink = SmtpSink()
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
async def guarded() -> AsyncIterator[SmtpSink]:
    sink = SmtpSink(credentials=("apikey", "hunter2"))
    await sink.start()
    yield sink
    await sink.stop()


def mail(subject: str = "Your offer") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Zoë <news@crm.example>"
    message["To"] = "ada@customer.example"
    message["Subject"] = subject
    message["Message-ID"] = "<m1@crm.example>"
    message.set_content("Grüße")
    message.add_alternative("<p>Grüße</p>", subtype="html")
    message.add_attachment(PDF, maintype="application", subtype="pdf", filename="Angebot.pdf")
    return message


async def talk[T](what: Callable[[], T]) -> T:
    """smtplib blocks, so it talks from a thread while the sink answers on this loop."""
    return await asyncio.to_thread(what)


def plain(sink: SmtpSink) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", sink.port, timeout=5)


def trusting(sink: SmtpSink) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(sink.certificate_path))


async def test_a_message_is_kept_whole_and_read_back(smtp: SmtpSink) -> None:
    """Envelope, headers, both bodies and files are listed decoded; the raw bytes are there too."""

    def send() -> None:
        with plain(smtp) as client:
            client.send_message(mail("Angebot für Zoë"), "bounce@crm.example", ["ada@customer.example", "b@x.example"])

    await talk(send)

    async with httpx.AsyncClient() as http:
        [kept] = (await http.get(f"{smtp.url}/_lab/messages")).json()
    assert kept["mail_from"] == "bounce@crm.example"
    assert kept["rcpt_to"] == ["ada@customer.example", "b@x.example"]
    assert kept["subject"] == "Angebot für Zoë"
    assert kept["headers"]["Message-ID"] == "<m1@crm.example>"
    assert kept["text"].strip() == "Grüße"
    assert kept["html"].strip() == "<p>Grüße</p>"
    assert kept["attachments"] == [{"name": "Angebot.pdf", "content_type": "application/pdf", "size": len(PDF)}]
    assert b"Message-ID: <m1@crm.example>" in base64.b64decode(kept["raw_base64"])
    assert kept["tls"] is False
    assert kept["authenticated_as"] is None


async def test_starttls_is_verified_against_the_authority_of_the_sink(smtp: SmtpSink) -> None:
    """A client that verifies certificates and host names can encrypt, and only then gives its password."""

    def send() -> None:
        with plain(smtp) as client:
            client.starttls(context=trusting(smtp))
            client.login("anyone", "anything")
            client.send_message(mail())

    await talk(send)

    assert [(m.tls, m.authenticated_as) for m in smtp.messages] == [(True, "anyone")]


async def test_tls_from_the_first_byte(smtp: SmtpSink) -> None:
    """The second port speaks TLS at once, and takes a password there."""

    def send() -> None:
        with smtplib.SMTP_SSL("localhost", smtp.tls_port, timeout=5, context=trusting(smtp)) as client:
            client.login("anyone", "anything")
            client.send_message(mail())

    await talk(send)

    assert [(m.tls, m.authenticated_as) for m in smtp.messages] == [(True, "anyone")]


async def test_a_client_that_does_not_know_the_authority_does_not_trust_it(smtp: SmtpSink) -> None:
    """The certificate is the machine's own: nobody trusts it by chance."""

    def send() -> None:
        with plain(smtp) as client:
            client.starttls(context=ssl.create_default_context())

    with pytest.raises(ssl.SSLCertVerificationError):
        await talk(send)


async def test_no_password_is_taken_in_clear_text(smtp: SmtpSink) -> None:
    """AUTH is not offered before the connection is encrypted."""

    def offered() -> bool:
        with plain(smtp) as client:
            client.ehlo()
            return client.has_extn("auth")

    assert await talk(offered) is False


@pytest.mark.parametrize(
    ("login", "problem"),
    [(None, "530"), (("apikey", "wrong"), "535"), (("apikey", "hunter2"), None)],
    ids=["none", "wrong", "right"],
)
async def test_credentials_are_required_when_there_are_any(
    guarded: SmtpSink, login: tuple[str, str] | None, problem: str | None
) -> None:
    """A sink with credentials takes mail from nobody else."""

    def send() -> str | None:
        with plain(guarded) as client:
            client.starttls(context=trusting(guarded))
            try:
                if login:
                    client.login(*login)
                client.send_message(mail())
            except smtplib.SMTPResponseException as refused:
                return str(refused.smtp_code)
        return None

    assert await talk(send) == problem
    assert len(guarded.messages) == (0 if problem else 1)


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        ({"command": "MAIL", "reply": "451 4.3.0 Try again later"}, 0),
        ({"command": "RCPT", "reply": "550 5.1.1 No such user"}, 0),
        ({"command": "RCPT", "reply": "550 5.1.1 No such user", "recipient": "ada@customer.example"}, 0),
        ({"command": "DATA", "reply": "554 5.7.1 Spam"}, 0),
        ({"command": "DATA", "reply": "451 4.3.0 Late trouble", "applied": True}, 1),
        ({"command": "DATA", "drop": True}, 0),
        ({"command": "DATA", "drop": True, "applied": True}, 1),
        ({"command": "RCPT", "drop": True}, 0),
    ],
)
async def test_it_fails_as_told_and_is_well_again_after_that(smtp: SmtpSink, script: dict[str, Any], kept: int) -> None:
    """A scripted reply refuses one message, or cuts the line, with or without the message kept; the next is taken."""

    def send() -> bool:
        try:
            with plain(smtp) as client:
                client.send_message(mail())
        except (smtplib.SMTPException, OSError):
            return False
        return True

    async with httpx.AsyncClient(base_url=smtp.url) as http:
        assert (await http.post("/_lab/answer", json=script)).status_code == 200

    assert await talk(send) is False
    assert len(smtp.messages) == kept
    assert await talk(send) is True
    assert len(smtp.messages) == kept + 1


async def test_one_recipient_of_several_can_be_refused(smtp: SmtpSink) -> None:
    """The others are taken, and the script waits for its recipient."""
    smtp.script(Reply(command="RCPT", reply="550 5.1.1 No such user", recipient="bob@customer.example"))

    def send() -> object:
        with plain(smtp) as client:
            return client.send_message(mail(), "bounce@crm.example", ["ada@customer.example", "bob@customer.example"])

    assert await talk(send) == {"bob@customer.example": (550, b"5.1.1 No such user")}
    assert [m.rcpt_to for m in smtp.messages] == [["ada@customer.example"]]


async def test_a_login_can_be_refused(guarded: SmtpSink) -> None:
    """With the words of the script, whatever the password; the next login is judged as ever."""
    guarded.script(Reply(command="AUTH", reply="454 4.7.0 Temporary authentication failure", times=2))

    def log_in() -> int:
        with plain(guarded) as client:
            client.starttls(context=trusting(guarded))
            try:
                return client.login("apikey", "hunter2")[0]
            except smtplib.SMTPAuthenticationError as refused:
                return refused.smtp_code

    # smtplib tries each of the two methods.
    assert [await talk(log_in), await talk(log_in)] == [454, 235]


@pytest.mark.parametrize(
    "script",
    [
        {"command": "EHLO", "reply": "550 no"},
        {"command": "DATA"},
        {"command": "DATA", "drop": True, "reply": "550 no"},
        {"command": "DATA", "reply": "no"},
        {"command": "DATA", "reply": "550 two\r\nlines"},
        {"command": "DATA", "reply": "550 no", "time": 3},
        {"command": "DATA", "reply": "550 no", "recipient": "ada@customer.example"},
        {"command": "AUTH", "drop": True},
    ],
)
async def test_a_control_that_makes_no_sense_is_refused(smtp: SmtpSink, script: dict[str, Any]) -> None:
    """A typo in a test's control fails that test instead of doing nothing."""
    async with httpx.AsyncClient(base_url=smtp.url) as http:
        assert (await http.post("/_lab/answer", json=script)).status_code == 400


async def test_a_reset_forgets_messages_and_scripts(smtp: SmtpSink) -> None:
    """After a reset nothing is kept and no scripted failure is left over for the next test."""

    def send() -> None:
        with plain(smtp) as client:
            client.send_message(mail())

    await talk(send)
    async with httpx.AsyncClient(base_url=smtp.url) as http:
        await http.post("/_lab/answer", json={"command": "MAIL", "reply": "550 5.0.0 No", "times": 9})
        assert (await http.post("/_lab/reset")).status_code == 204
        assert (await http.get("/_lab/messages")).json() == []

    await talk(send)
    assert len(smtp.messages) == 1


async def test_stopping_cuts_who_is_still_connected_and_leaves_no_files(smtp: SmtpSink) -> None:
    """A client that never says goodbye does not hold the sink up, and the authority's folder is gone afterwards."""
    client = await talk(lambda: plain(smtp))
    assert smtp.certificate_path.exists()

    async with asyncio.timeout(5):
        await smtp.stop()

    assert not smtp.certificate_path.parent.exists()
    client.close()
