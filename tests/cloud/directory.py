"""The people of the local cloud and the access tokens issued for them: what the Entra ID and Graph emulators share."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tests.cloud.claims import Challenge, Claims
from tests.cloud.clock import Clock

#: Who a token from `POST /_lab/token` is issued to: Outlook itself, not our app.
OUTLOOK_CLIENT_ID = "d3590ed6-52b3-4102-aeff-aad2292ab01c"
#: How long an access token lives (Entra ID: 60 to 90 minutes).
ACCESS_TOKEN_LIFETIME = timedelta(seconds=3599)

#: `none`: never had a licence. `inactive`: had one, or the mailbox is on a server of the company's own.
MailboxState = Literal["active", "none", "inactive"]


@dataclass
class Person:
    """
    One person. `oid` and `tenant_id` are GUIDs; one tenant per e-mail domain.

    `code` is the verification code that their sign-in asks for; empty asks for none. With a `mailbox` that is not
    `active` they sign in as anyone, and Graph has no mail of theirs.
    """

    oid: str
    tenant_id: str
    email: str
    name: str
    aliases: list[str] = field(default_factory=list)
    admin_consent_required: bool = False
    code: str = ""
    mailbox: MailboxState = "active"

    @property
    def addresses(self) -> list[str]:
        """The primary address and the aliases, as written."""
        return [self.email, *self.aliases]


@dataclass(frozen=True)
class AccessToken:
    """
    What Graph knows when it sees a bearer token. Scopes are lower-case short names (`mail.read`).

    `cae`: its app understands claims challenges. `claims` are those that the app, or the person's sign-in, answered.
    """

    value: str
    oid: str
    client_id: str
    scopes: frozenset[str]
    expires_at: datetime
    cae: bool = False
    claims: Claims = field(default_factory=dict)


class Directory:
    """Everyone there is, in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._people: dict[str, Person] = {}
        self._tokens: dict[str, AccessToken] = {}
        self._challenges: dict[str, Challenge] = {}
        self._last_not_before = 0

    def add(
        self,
        email: str,
        name: str,
        aliases: list[str] | None = None,
        *,
        admin_consent_required: bool = False,
        code: str = "",
        mailbox: MailboxState = "active",
    ) -> Person:
        """Add a person, or update the one who has this address."""
        known = self.by_email(email)
        domain = email.rpartition("@")[2].lower()
        person = Person(
            oid=known.oid if known else str(uuid.uuid4()),
            tenant_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, domain)),
            email=email,
            name=name,
            aliases=list(aliases or []),
            admin_consent_required=admin_consent_required,
            code=code,
            mailbox=mailbox,
        )
        self._people[person.oid] = person
        return person

    def everyone(self) -> list[Person]:
        """All people, in the order they were added."""
        return list(self._people.values())

    def by_oid(self, oid: str) -> Person | None:
        """The person with this object id."""
        return self._people.get(oid)

    def by_email(self, address: str) -> Person | None:
        """The person who has this address as primary or alias, whatever its case."""
        wanted = address.lower()
        return next((p for p in self._people.values() if wanted in (a.lower() for a in p.addresses)), None)

    def issue_token(
        self,
        person: Person,
        scopes: frozenset[str],
        client_id: str,
        *,
        lifetime: timedelta = ACCESS_TOKEN_LIFETIME,
        cae: bool = False,
        claims: Claims | None = None,
    ) -> AccessToken:
        """A new opaque access token for Graph."""
        token = AccessToken(
            value="eyJ0eXAiOiJKV1Qi." + secrets.token_urlsafe(48),
            oid=person.oid,
            client_id=client_id,
            scopes=frozenset(s.rpartition("/")[2].lower() for s in scopes),
            expires_at=self._clock.now() + lifetime,
            cae=cae,
            claims=claims or {},
        )
        self._tokens[token.value] = token
        return token

    def token(self, value: str) -> AccessToken | None:
        """The token with this value, expired or not; None where it was never issued or is revoked."""
        return self._tokens.get(value)

    def revoke_tokens(self, oid: str, client_id: str | None = None) -> None:
        """Forget a person's access tokens (all, or those of one client)."""
        self._tokens = {
            v: t
            for v, t in self._tokens.items()
            if t.oid != oid or (client_id is not None and t.client_id != client_id)
        }

    def challenge(self, person: Person, *, interactive: bool = False) -> Challenge:
        """Want of this person's CAE tokens, from now on, that they be asked for with claims never asked before."""
        # Whole seconds on the wire, and no two challenges alike.
        self._last_not_before = max(int(self._clock.now().timestamp()), self._last_not_before + 1)
        wanted = {"nbf": {"essential": True, "value": str(self._last_not_before)}}
        self._challenges[person.oid] = Challenge(wanted, interactive)
        return self._challenges[person.oid]

    def challenge_of(self, oid: str) -> Challenge | None:
        """What is wanted of a person's CAE tokens; None where nothing is."""
        return self._challenges.get(oid)

    def end_challenge(self, oid: str) -> None:
        """Want nothing more of a person's tokens."""
        self._challenges.pop(oid, None)

    def end_challenges(self) -> None:
        """Want nothing more of anybody's tokens."""
        self._challenges.clear()

    def reset(self) -> None:
        """Forget everyone, every token and every challenge."""
        self._people.clear()
        self._tokens.clear()
        self._challenges.clear()
