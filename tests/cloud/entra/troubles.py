"""
The troubles a person's connection can get into, one at a time for each person, begun and ended by a control.

How a trouble is healed, apart from ending it by the control:

    revoked, expired, password_expired   a new sign-in; the refresh tokens of before stay dead
    mfa, conditional_access              a new sign-in whose authorize request carries the `claims` of the refusal
    consent_withdrawn                    a new sign-in, whose consent page is shown again
    account_disabled                     nothing: the sign-in refuses, too

Stricter than the real service, which at a sign-in asks by itself for what its policies want: here a sign-in without the
claims goes well and changes nothing, and the next refresh is refused again. Not imitated: choosing another password, and
revoking access tokens together with the refresh tokens (`POST /_lab/revoke`, or Graph's `/_lab/cae-challenge`).
"""

from dataclasses import dataclass
from typing import assert_never

from tests.cloud.claims import Claims, answers
from tests.cloud.directory import Directory, Person
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.grants import Grants, RefreshToken
from tests.cloud.entra.refusals import Refusal, SteppedUp, account_disabled, policy_of_its_own, stepped_up
from tests.cloud.entra.switches import Switches


@dataclass(frozen=True)
class Policy:
    """What a person has to bring along when they sign in: the `wanted` claims."""

    kind: SteppedUp
    wanted: Claims


class Troubles:
    """Begins and ends troubles, and refuses what they refuse."""

    def __init__(self, directory: Directory, grants: Grants) -> None:
        self._directory = directory
        self._grants = grants
        self._disabled: set[str] = set()
        self._policies: dict[str, Policy] = {}

    def begin(self, person: Person, kind: Refusal) -> Claims | None:
        """Begin this trouble instead of the one before; the claims that a sign-in must carry, None where it need not."""
        self._end_own(person)
        match kind:
            case "revoked" | "expired" | "password_expired":
                self._grants.end(person.oid, kind)
            case "account_disabled":
                self._disabled.add(person.oid)
            case "mfa" | "conditional_access":
                self._policies[person.oid] = Policy(kind, policy_of_its_own())
                return self._policies[person.oid].wanted
            case "consent_withdrawn":
                for client_id in self._grants.withdraw_consent(person):
                    self._directory.revoke_tokens(person.oid, client_id)
            case _:
                assert_never(kind)
        return None

    def end(self, person: Person) -> None:
        """
        This person is healthy again, and Graph challenges them no longer.

        What was issued before works as before, but for access tokens that consent_withdrawn has revoked.
        """
        self._end_own(person)
        self._directory.end_challenge(person.oid)

    def _end_own(self, person: Person) -> None:
        self._grants.revive(person.oid)
        self._grants.restore_consent(person.oid)
        self._disabled.discard(person.oid)
        self._policies.pop(person.oid, None)

    def refusal_of_anything(self, person: Person) -> EntraError | None:
        """Why this person can neither sign in nor have tokens; None where they can."""
        return account_disabled() if person.oid in self._disabled else None

    def refusal_of_refresh(self, token: RefreshToken, switches: Switches) -> EntraError | None:
        """Which policy refuses this refresh token; None where none does."""
        policy = self._policies.get(token.oid)
        if policy is None or answers(token.claims, policy.wanted):
            return None
        error = switches.mfa_answer if policy.kind == "mfa" else switches.conditional_access_answer
        return stepped_up(policy.kind, error, policy.wanted)

    def reset(self) -> None:
        """Nobody is in trouble."""
        self._disabled.clear()
        self._policies.clear()
