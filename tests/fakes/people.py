"""Who there is at Microsoft: people with mailboxes, what they grant an app, and which of their sign-ins are still good."""

from dataclasses import dataclass, field
from itertools import count

from sync.domain.connection import Mailbox
from sync.domain.trouble import Reason

ALL_SCOPES = frozenset(("mail.readwrite", "mail.send", "user.read"))


@dataclass
class Person:
    """
    One person.

    scopes: what they grant when they consent. sign_ins: token caches that Microsoft still accepts, each with the claims it was
    signed in with (JSON). has_mailbox: whether their account opens one. refused_because: how Microsoft words it when it refuses
    a sign-in that is no longer good. wanted: claims that every token and, where `by_sign_in`, the sign-in itself has to bring.
    """

    mailbox: Mailbox
    scopes: frozenset[str] = ALL_SCOPES
    has_mailbox: bool = True
    admin_consent_required: bool = False
    sign_ins: dict[str, str] = field(default_factory=dict)
    refused_because: Reason = "sign_in_refused"
    wanted: str = ""
    by_sign_in: bool = False


class People:
    """Everyone, by address, and what was issued for them."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}
        self._owners: dict[str, Person] = {}
        #: Every token that was not revoked: whose it is, and the claims it brings.
        self._tokens: dict[str, tuple[Person, str]] = {}
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

    def signed_in(self, person: Person, claims: str = "") -> str:
        """A new sign-in of this person, with these claims: its token cache."""
        cache = f"cache-{next(self._numbers)}"
        person.sign_ins[cache] = claims
        self._owners[cache] = person
        return cache

    def revoke(self, email: str, because: Reason = "sign_in_refused") -> None:
        """Every sign-in of this person dies, as after a change of password; access tokens with it."""
        person = self._people[email]
        person.sign_ins.clear()
        person.refused_because = because
        self._tokens = {token: issued for token, issued in self._tokens.items() if issued[0] is not person}

    def challenge(self, email: str, claims: str, *, by_sign_in: bool = False) -> None:
        """
        Graph takes no token of this person's any more that does not bring these claims (JSON).

        A refresh can ask for them, or where `by_sign_in` only the person, by signing in with them.
        """
        person = self._people[email]
        person.wanted, person.by_sign_in = claims, by_sign_in

    def issue_token(self, cache: str, claims: str = "") -> str | None:
        """A new access token for this token cache, asked for with these claims; None where Microsoft no longer accepts it."""
        person = self._owners.get(cache)
        if person is None or cache not in person.sign_ins:
            return None
        token = f"token-{next(self._numbers)}"
        self._tokens[token] = (person, claims or person.sign_ins[cache])
        return token

    def refresh(self, cache: str, claims: str) -> str | None:
        """As `issue_token`, and None where the person has to sign in first with the claims that are wanted of them."""
        person = self._owners.get(cache)
        if person is not None and person.by_sign_in and person.sign_ins.get(cache) != person.wanted:
            return None
        return self.issue_token(cache, claims)

    def refusal_of(self, cache: str) -> tuple[Reason, str]:
        """Why a refresh with this token cache is refused, and the claims that a new sign-in has to bring (JSON)."""
        person = self._owners.get(cache)
        if person is None:
            return "sign_in_refused", ""
        if cache in person.sign_ins:
            return "verification_required", person.wanted
        return person.refused_because, ""

    def owner_of(self, access_token: str) -> Person | None:
        """Whose token this is; None where Graph does not take it: revoked, never issued, or without the claims wanted."""
        person, brought = self._tokens.get(access_token, (None, ""))
        return person if person is not None and brought == (person.wanted or brought) else None

    def challenge_to(self, access_token: str) -> str:
        """The claims (JSON) that Graph asks for as it refuses this token; empty where it asks for none."""
        person, _ = self._tokens.get(access_token, (None, ""))
        return person.wanted if person is not None else ""
