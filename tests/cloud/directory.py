"""The people of the local cloud and the access tokens issued for them: what the Entra ID and Graph emulators share."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.cloud.clock import Clock

#: Who a token from `POST /_lab/token` is issued to: Outlook itself, not our app.
OUTLOOK_CLIENT_ID = "d3590ed6-52b3-4102-aeff-aad2292ab01c"
#: How long an access token lives (Entra ID: 60 to 90 minutes).
ACCESS_TOKEN_LIFETIME = timedelta(seconds=3599)


@dataclass
class Person:
    """One person with a mailbox. `oid` and `tenant_id` are GUIDs; one tenant per e-mail domain."""

    oid: str
    tenant_id: str
    email: str
    name: str
    aliases: list[str] = field(default_factory=list)
    admin_consent_required: bool = False

    @property
    def addresses(self) -> list[str]:
        """The primary address and the aliases, as written."""
        return [self.email, *self.aliases]


@dataclass(frozen=True)
class AccessToken:
    """What Graph knows when it sees a bearer token. Scopes are lower-case short names (`mail.read`)."""

    value: str
    oid: str
    client_id: str
    scopes: frozenset[str]
    expires_at: datetime


class Directory:
    """Everyone there is, in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._people: dict[str, Person] = {}
        self._tokens: dict[str, AccessToken] = {}

    def add(
        self, email: str, name: str, aliases: list[str] | None = None, *, admin_consent_required: bool = False
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

    def issue_token(self, person: Person, scopes: frozenset[str], client_id: str) -> AccessToken:
        """A new opaque access token for Graph."""
        token = AccessToken(
            value="eyJ0eXAiOiJKV1Qi." + secrets.token_urlsafe(48),
            oid=person.oid,
            client_id=client_id,
            scopes=frozenset(s.rpartition("/")[2].lower() for s in scopes),
            expires_at=self._clock.now() + ACCESS_TOKEN_LIFETIME,
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

    def reset(self) -> None:
        """Forget everyone and every token."""
        self._people.clear()
        self._tokens.clear()
