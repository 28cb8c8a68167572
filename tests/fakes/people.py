"""Who there is at Microsoft: people with mailboxes, what they grant an app, and which of their sign-ins are still good."""

from dataclasses import dataclass, field
from itertools import count

from sync.domain.connection import Mailbox

ALL_SCOPES = frozenset(("mail.readwrite", "mail.send", "user.read"))


@dataclass
class Person:
    """
    One person.

    scopes: what they grant when they consent. sign_ins: token caches that Microsoft still accepts. has_mailbox: whether
    their account opens one.
    """

    mailbox: Mailbox
    scopes: frozenset[str] = ALL_SCOPES
    has_mailbox: bool = True
    admin_consent_required: bool = False
    sign_ins: set[str] = field(default_factory=set)


class People:
    """Everyone, by address, and the access tokens issued for them."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}
        self._token_owners: dict[str, Person] = {}
        self._numbers = count(1)

    def add(self, email: str, name: str = "", aliases: tuple[str, ...] = ()) -> Person:
        """A person with a mailbox of this address."""
        local, _, domain = email.partition("@")
        object_id = f"oid-{local}"
        mailbox = Mailbox(f"tenant-{domain}", object_id, email, name or local.title(), aliases, f"{object_id}.{domain}")
        self._people[email] = Person(mailbox)
        return self._people[email]

    def __getitem__(self, email: str) -> Person:
        return self._people[email]

    def signed_in(self, person: Person) -> str:
        """A new sign-in of this person: its token cache."""
        cache = f"cache-{next(self._numbers)}"
        person.sign_ins.add(cache)
        return cache

    def revoke(self, email: str) -> None:
        """Every sign-in of this person dies, as after a change of password; access tokens with it."""
        person = self._people[email]
        person.sign_ins.clear()
        self._token_owners = {token: owner for token, owner in self._token_owners.items() if owner is not person}

    def issue_token(self, cache: str) -> str | None:
        """A new access token for this token cache; None where Microsoft no longer accepts it."""
        for person in self._people.values():
            if cache in person.sign_ins:
                token = f"token-{next(self._numbers)}"
                self._token_owners[token] = person
                return token
        return None

    def owner_of(self, access_token: str) -> Person | None:
        """Whose token this is; None where it is revoked, or never was one."""
        return self._token_owners.get(access_token)
