"""
What happens to 200 connections in a month, drawn by dice: people connect, write, change their passwords and leave; Graph has
outages, forgets subscriptions, keeps silent, and is late with what it says.

The story also keeps what has to come of it: which mail belongs to whose thread, and who has left.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from random import Random

from sync.domain.connection import Connection
from sync.domain.mail import ThreadKeys
from sync.domain.message import Contact
from sync.domain.outgoing import Outgoing
from tests.fakes.mail import Identity
from tests.unit.flows.month import MINUTE, Happening, Month
from tests.unit.flows.month_members import Member, Thread
from tests.unit.flows.month_weather import LONGEST_OUTAGE, Kind, Outage

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONTH = 30 * DAY
#: Connections, and how many of them are second ones of a mailbox: of a colleague in the same account, or of another account.
CONNECTIONS, COLLEAGUES, ELSEWHERE = 200, 20, 10
MAILBOXES = CONNECTIONS - COLLEAGUES - ELSEWHERE
ACCOUNTS = 8
#: Nothing new goes wrong in the last day.
LAST_TROUBLE = MONTH - DAY
#: SIGNING_KEYS change so often, and the older of two keys is dropped this long after.
NEW_KEYS_AT, DROPPED_AFTER = (8 * DAY, 18 * DAY), 8 * DAY


class Story:
    """
    One month, planned with `month.dice`.

    silent: mailboxes whose subscription Graph has forgotten without a word to everybody, so that only a renewal finds out.
    forgotten: mailboxes of which Graph has removed a subscription. disturbed: when the app was last told to open one.
    """

    def __init__(self, month: Month) -> None:
        self.month = month
        self.world = month.world
        self.begins = month.clock()
        self.ends = self.begins + MONTH
        self.members = [self._member(number) for number in range(CONNECTIONS)]
        self.silent: set[Identity] = set()
        self.forgotten: set[Identity] = set()
        self.disturbed: dict[Identity, datetime] = {}
        self.happened: Counter[str] = Counter()
        self._numbers = 0
        self._plan(month.dice)

    def mailbox(self, member: Member) -> Identity:
        """Whose mailbox it is, as Graph names it."""
        return self.world.people[member.email].mailbox.identity

    def of_mailbox(self, mailbox: Identity) -> list[Member]:
        """Everybody who has connected it."""
        return [member for member in self.members if self.mailbox(member) == mailbox]

    async def connection(self, member: Member) -> Connection:
        """The member's connection as it is stored."""
        with self.month.weather.calm():
            found = await self.world.connections.by_id(member.connection_id)
        assert found is not None
        return found

    # The plan.

    def _member(self, number: int) -> Member:
        first = number % MAILBOXES
        email = f"p{first}@crm.example"
        if number == first:
            self.world.people.add(email)
        elsewhere = number >= MAILBOXES + COLLEAGUES
        return Member(f"account{(first + elsewhere) % ACCOUNTS}", f"u{number}", email)

    def _plan(self, dice: Random) -> None:
        self.month.weather.outages = self._outages(dice)
        for member in self.members:
            self._at(2 * DAY * dice.random(), partial(self._sign_in, member))
            for _ in range(3):
                self._at(2 * DAY + (MONTH - 3 * DAY) * dice.random(), partial(self._write, member))
            for _ in range(8):
                self._at(2 * DAY + (MONTH - 2 * DAY) * dice.random(), partial(self._private_mail, member))
        mailboxes = sorted({self.mailbox(member) for member in self.members})
        for mailbox in mailboxes:
            forgets = 1 if dice.random() < 0.6 else 0
            plan = ((self._forgets, forgets), (self._keeps_silent, 2), (self._asks_for_authorization, 6))
            for happening, times in plan:
                for _ in range(times):
                    self._at(self._trouble(dice), partial(happening, mailbox))
        for email in dice.sample(sorted({member.email for member in self.members}), 40):
            self._at(self._trouble(dice) - DAY, partial(self._changes_password, email))
        for member in dice.sample(self.members, 10):
            self._at(5 * DAY + 23 * DAY * dice.random(), partial(self._leaves, member))
        for number, when in enumerate(NEW_KEYS_AT):
            self._at(when, partial(self._new_key, bytes([number]) * 32))
            self._at(when + DROPPED_AFTER, self._drop_old_keys)

    def _outages(self, dice: Random) -> list[Outage]:
        kinds: tuple[Kind, ...] = ("unclear", "throttled", "cut", "any")
        mailboxes: list[Identity | None] = [*dice.sample([self.mailbox(m) for m in self.members], 60), *[None] * 8]
        outages = []
        for number, mailbox in enumerate(mailboxes):
            lasts = LONGEST_OUTAGE * (1 if number % 7 == 0 else dice.random() ** 2)
            lasts = max(lasts, 5 * MINUTE)
            begins = self.begins + (LAST_TROUBLE - lasts) * dice.random()
            outages.append(Outage(begins, begins + lasts, mailbox, dice.choice(kinds)))
        return outages

    def _trouble(self, dice: Random) -> timedelta:
        return 3 * DAY + (LAST_TROUBLE - 3 * DAY) * dice.random()

    def _at(self, after: timedelta, happening: Happening) -> None:
        self.month.at(self.begins + after, happening)

    # What people do.

    async def _sign_in(self, member: Member) -> None:
        """The user signs in, and the CRM completes it."""
        connection = await self.month.sign_in(member.account_id, member.user_id, member.email)
        member.connection_id = connection.connection_id
        self.disturbed[connection.mailbox.identity] = self.month.clock()
        self.happened["signed in"] += 1
        member.sign_ins += 1
        member.signed_out = False

    async def _write(self, member: Member) -> None:
        """An email from the CRM begins a thread, which goes on to the end of the month."""
        if member.signed_out or member.left_at is not None:
            return
        subject = f"Offer {self._number()}"
        contact = Contact(f"ada{self._numbers}@world.example", "Ada", f"c-{self._numbers}")
        asked = Outgoing("individual", member.user_id, (contact,), subject, "<p>Hi</p>")
        answer = await self.world.accept.accept(member.account_id, subject, asked, subject)
        told = answer["messages"][0]  # type: ignore[index]
        thread = Thread(told["message_id"], subject, contact)
        member.threads.append(thread)
        self.happened["sent"] += 1
        for _ in range(self.month.dice.randrange(6)):
            left = self.ends - self.month.clock() - 2 * HOUR
            self.month.at(
                self.month.clock() + HOUR + left * self.month.dice.random() ** 2, partial(self._answer, member, thread)
            )

    async def _answer(self, member: Member, thread: Thread) -> None:
        """The contact, or the user from Outlook, answers; in the conversation or, as some mail programs do, in a new one."""
        dice, mail = self.month.dice, self.month.mail
        root = mail.copy_of(thread.message_id)
        if root is None:
            self.happened["not sent yet"] += 1
            return
        thread.answers += 1
        subject = f"RE: {thread.subject} #{thread.answers}"
        owner = self.world.people[member.email].mailbox
        now = self.month.clock()
        match dice.choice(("contact", "contact", "contact", "outlook", "elsewhere", "late")):
            case "outlook":
                mail.from_outlook(owner, thread.contact.address, subject, answers=root)
            case "elsewhere":
                n = self._number()
                keys = ThreadKeys(f"<{n}@else>", root.keys.internet_message_id, conversation_id=f"else-{n}")
                mail.arrives(owner, thread.contact.address, subject, keys=keys)
            case "late":
                received_at = now - 9 * MINUTE * dice.random()
                mail.arrives(owner, thread.contact.address, subject, answers=root, received_at=received_at)
            case _:
                mail.arrives(owner, thread.contact.address, subject, answers=root)
        self.happened["answered"] += 1
        if member.left_at is None:
            member.mail[subject] = now

    async def _private_mail(self, member: Member) -> None:
        """Mail that is none of the CRM's business: from strangers, and from a contact with the subject of a thread."""
        owner = self.world.people[member.email].mailbox
        thread = self.month.dice.choice(member.threads) if member.threads else None
        if thread is None or self.month.dice.random() < 0.5:
            self.month.mail.arrives(owner, "eve@else.example", f"Private {self._number()}")
        else:
            self.month.mail.arrives(owner, thread.contact.address, thread.subject)
        self.happened["private"] += 1

    async def _changes_password(self, email: str) -> None:
        """Every sign-in of this person dies; Graph may remove the subscription, and say so. They sign in a day later."""
        dice = self.month.dice
        mailbox = self.world.people[email].mailbox.identity
        self.world.people.revoke(email)
        self.happened["password changed"] += 1
        if dice.random() < 0.5:
            await self._forgets(mailbox)
        for member in self.of_mailbox(mailbox):
            if member.left_at is None:
                member.signed_out = True
                member.password_changes += 1
                self.month.at(
                    self.month.clock() + 20 * HOUR + 8 * HOUR * dice.random(), partial(self._signs_in_again, member)
                )

    async def _signs_in_again(self, member: Member) -> None:
        if member.left_at is None:
            await self._sign_in(member)

    async def _leaves(self, member: Member) -> None:
        """The user deletes the connection, for good."""
        if member.signed_out:
            return
        member.undecided_after = (await self.connection(member)).synced_through or self.begins
        await self.world.disconnect.delete(member.account_id, member.user_id)
        member.left_at = self.month.clock()
        self.happened["left"] += 1
        await self.month.look(self.mailbox(member))

    # What Graph and the operator do.

    async def _forgets(self, mailbox: Identity) -> None:
        """Graph removes the subscriptions of a mailbox: it says so at once, hours later, or never."""
        dice = self.month.dice
        late = timedelta() if dice.random() < 0.6 else 6 * HOUR * dice.random()
        says_so = dice.random() < 0.6
        if says_so:
            self.month.tell_lifecycle(mailbox, "subscriptionRemoved", late)
            self.disturbed[mailbox] = max(self.month.clock() + late, self.disturbed.get(mailbox, self.begins))
        if not says_so or (late and len(self.of_mailbox(mailbox)) > 1):
            # Late, it may come to one who has opened another by then, and who no longer knows who else lived by the first.
            self.silent.add(mailbox)
        self.forgotten.add(mailbox)
        open_ones = self.world.subscriptions.open_ones
        for name in [name for name, held in open_ones.items() if held.mailbox == mailbox]:
            del open_ones[name]
            self.happened["forgotten"] += 1
        await self.month.look(mailbox)

    async def _keeps_silent(self, mailbox: Identity) -> None:
        """For up to a few hours Graph tells of no change, and then says that it `missed` some, or does not."""
        dice = self.month.dice
        self.month.deaf.add(mailbox)

        async def ends() -> None:
            self.month.deaf.discard(mailbox)
            if dice.random() < 0.6:
                self.month.tell_lifecycle(mailbox, "missed")

        self.month.at(self.month.clock() + 4 * HOUR * dice.random(), ends)
        self.happened["silence"] += 1

    async def _asks_for_authorization(self, mailbox: Identity) -> None:
        """`reauthorizationRequired`, every 15 minutes of an hour; some are lost, some late."""
        dice = self.month.dice
        for quarter in range(4):

            async def asks() -> None:
                if dice.random() < 0.7:
                    self.month.tell_lifecycle(mailbox, "reauthorizationRequired", MINUTE * 40 * dice.random() ** 4)

            self.month.at(self.month.clock() + quarter * 15 * MINUTE, asks)
        self.happened["asked for authorization"] += 1

    async def _new_key(self, key: bytes) -> None:
        """The app is started anew with one more signing key."""
        self.month.keys = (key, *self.month.keys)
        self.world.watch = replace(self.world.watch, signing_key=key)
        self.happened["new key"] += 1

    async def _drop_old_keys(self) -> None:
        """The app is started anew with the newest signing key alone."""
        self.month.keys = self.month.keys[:1]

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
