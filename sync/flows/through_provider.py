"""
An email through the account's own provider: offered to its server, handed over once, told as the server said.

    offer        connect, log in, name the recipients: nothing is sent yet, so that this can be done again
    written down before the email itself goes over the line
    hand over    the server's word ends it: taken, refused, or "later"

SMTP has no question "did you get it?". Where the server had all of an email and its answer was lost, or this worker died at that
moment, nobody but the server knows. Such an email is not sent again: it is told as failed with `outcome_unknown`, which says so.

Recipients that the server puts off are asked for again, the others meanwhile have the email.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sync.domain import message as rule
from sync.domain.body import Body, with_history
from sync.domain.errors import Declined, NotFound, OutsideError, Throttled, Unclear
from sync.domain.message import Bounce, Message, Outbox, Status
from sync.domain.outgoing import OutgoingFile
from sync.domain.provider import Email, Provider, ServerReply, status_code
from sync.flows.outcome import Outcomes
from sync.flows.places import Places
from sync.flows.ports import Clock, Content, Journal, Providers, Smtp, Submission

#: Emails on their way to providers at the same time, in one process: each is held in memory with its files.
AT_ONCE = 4
#: Recipients that every server takes with one email (RFC 5321 4.5.3.1.8).
RECIPIENTS_AT_ONCE = 100
#: After this no further turn of recipients is begun: host.json gives a function 5 minutes.
TURNS_WITHIN = timedelta(seconds=90)

_LOST = (
    "The provider's server had the whole email, and its answer was lost. It may have been sent or not; it was not sent again,"
    " so that nobody gets it twice. Your provider's log knows: look for its Message-ID."
)


@dataclass(frozen=True)
class ThroughProvider:
    """The steps."""

    providers: Providers
    journal: Journal
    content: Content
    smtp: Smtp
    outcomes: Outcomes
    clock: Clock
    places: Places = field(default_factory=lambda: Places(AT_ONCE))

    async def bring_on(self, message: Message) -> timedelta | None:
        """
        Bring a claimed message as far as it goes now; None: nothing more to look at.

        Raises the OutsideError family, OperatorAlarm, and Conflict where another worker has taken over.
        """
        if (message.outbox or Outbox()).send_asked_at is not None:
            await self._lost(message)
            return None
        provider = await self.providers.of_account(message.account_id)
        sender = message.sender.address if message.sender else ""
        if provider is None:
            gone = "The account's provider was removed before the email was sent."
            await self.outcomes.fail(message, "provider_not_configured", gone)
        elif not provider.may_send_as(sender):
            changed = f"The account's provider may not send as {sender} any more."
            await self.outcomes.fail(message, "from_not_allowed", changed)
        else:
            async with self.places.one():
                await self._submit_to_all(provider, message)
        return None

    async def give_up(self, message: Message, failure: OutsideError | None) -> None:
        """The server could not be reached, or put the email off, for too long."""
        words = failure.detail if failure is not None else "no answer"
        outbox = message.outbox or Outbox()
        if not outbox.handed_over_to:
            problem = f"The provider's server did not take the email for 24 hours: {words}"
            await self.outcomes.fail(message, "provider_unreachable", problem)
            return
        await self._finish(_refused(message, dict.fromkeys(_left(message), ServerReply(0, words))))

    async def _submit_to_all(self, provider: Provider, message: Message) -> None:
        """Offer it to everybody who has no end yet, as many at a time as every server takes."""
        email = await self._email(message)
        put_off: dict[str, ServerReply] = {}
        until = self.clock() + TURNS_WITHIN
        while left := [address for address in _left(message) if address not in put_off]:
            message, later = await self._submit(provider, message, email, left[:RECIPIENTS_AT_ONCE])
            if message.status.final:
                return
            put_off |= later
            more = len(left) > RECIPIENTS_AT_ONCE
            if put_off or more:
                message = await self.journal.save_message(message)
            if more and self.clock() > until:
                raise Throttled(
                    "The server takes its time; the next recipients are asked for soon.", retry_after=timedelta()
                )
        if put_off:
            raise Throttled(str(next(iter(put_off.values()))), retry_after=timedelta())
        await self._finish(message)

    async def _submit(
        self, provider: Provider, message: Message, email: Email, recipients: Sequence[str]
    ) -> tuple[Message, Mapping[str, ServerReply]]:
        """The message as the server answered, and who was put off."""
        try:
            async with self.smtp.submission(provider, email, recipients) as submission:
                return await self._hand_over(submission, message, email), dict(submission.deferred)
        except Declined as declined:
            if not (message.outbox or Outbox()).handed_over_to:
                raise
            reply = ServerReply(declined.status, declined.detail)
            return _refused(message, dict.fromkeys(recipients, reply)), {}

    async def _hand_over(self, submission: Submission, message: Message, email: Email) -> Message:
        """The message as the server answered, its rows written around the one moment that can't be looked up."""
        message = _refused(message, submission.refused)
        if not submission.accepted:
            return message
        now = self.clock()
        outbox = replace(message.outbox or Outbox(), send_asked_at=now, lease_until=now + rule.LEASE)
        # Raises Conflict where another worker has taken over.
        asked = replace(message, outbox=outbox, internet_message_id=email.message_id)
        message = await self.journal.save_message(asked)
        outbox = replace(outbox, send_asked_at=None)
        try:
            await submission.hand_over()
        except Throttled as later:
            await self.journal.save_message(replace(message, outbox=outbox))
            raise later from None
        except Declined as declined:
            reply = ServerReply(declined.status, declined.detail)
            return _refused(replace(message, outbox=outbox), dict.fromkeys(submission.accepted, reply))
        except Unclear:
            return await self._lost(message)
        taken = (*outbox.handed_over_to, *submission.accepted)
        return replace(message, outbox=replace(outbox, handed_over_to=taken), sent_at=message.sent_at or self.clock())

    async def _lost(self, message: Message) -> Message:
        """Nobody knows: told as such, and never tried again."""
        outbox = message.outbox or Outbox()
        if not outbox.handed_over_to:
            await self.outcomes.fail(message, "outcome_unknown", _LOST)
            return rule.failed(message, "outcome_unknown", _LOST)
        # To some it went before; of the others it is not known.
        unknown = _refused(message, dict.fromkeys(_left(message), ServerReply(0, _LOST)))
        return await self._finish(unknown)

    async def _finish(self, message: Message) -> Message:
        """Every recipient has its end: sent to those whom the server took it for, bounced for the others; or failed for all."""
        outbox = message.outbox or Outbox()
        if outbox.handed_over_to:
            ended = replace(message, status=Status.SENT, outbox=replace(outbox, send_asked_at=None, lease_until=None))
            await self.outcomes.tell(ended)
            return ended
        words = "; ".join(dict.fromkeys(bounce.detail for bounce in outbox.refused)) or "no recipient was accepted"
        code = f"smtp_{words[:3]}" if words[:3].isdigit() else "provider_refused"
        problem = f"The provider's server refused the email: {words}"
        await self.outcomes.fail(message, code, problem)
        return rule.failed(message, code, problem)

    async def _email(self, message: Message) -> Email:
        sender = message.sender
        if sender is None:
            raise Declined("The email has no sender.", code="no_sender", status=0)
        body = await self.content.body(message.body_blob)
        return Email(
            message_id=f"<{message.message_id}@{sender.address.rpartition('@')[2]}>",
            date=message.due_at,
            sender=sender,
            to=message.to,
            cc=message.cc,
            subject=message.subject,
            body=await self._with_history(message, body),
            files=tuple([await self._file(message, i) for i in range(len(message.attachments))]),
            in_reply_to=message.in_reply_to,
            references=message.references,
        )

    async def _file(self, message: Message, index: int) -> OutgoingFile:
        file = message.attachments[index]
        content = await self.content.file(file.blob)
        return OutgoingFile(file.name, file.content_type, content, file.inline, file.content_id)

    async def _with_history(self, message: Message, body: Body) -> Body:
        """The body with what it answers quoted below; alone, where that was removed since."""
        quoted = await self.journal.message(message.account_id, message.quotes) if message.quotes else None
        if quoted is None:
            return body
        try:
            return with_history(body, await self.content.body(quoted.body_blob), rule.heading(quoted))
        except NotFound:
            return body


def _left(message: Message) -> list[str]:
    """The recipients that have no end yet, each once."""
    outbox = message.outbox or Outbox()
    ended = {a.casefold() for a in (*outbox.handed_over_to, *(bounce.address for bounce in outbox.refused))}
    everybody = (*message.to, *message.cc, *outbox.bcc)
    return list({a.key: a.address for a in everybody if a.key not in ended}.values())


def _refused(message: Message, replies: Mapping[str, ServerReply]) -> Message:
    """The message with these recipients' ends written down."""
    outbox = message.outbox or Outbox()
    new = tuple(Bounce(address, status_code(reply), str(reply)) for address, reply in replies.items())
    return replace(message, outbox=replace(outbox, refused=outbox.refused + new))
