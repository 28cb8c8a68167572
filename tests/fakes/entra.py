"""Microsoft's sign-in, in memory: `sign_in` is the person at its pages, `redeem` the token endpoint."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from sync.domain.errors import Declined
from sync.domain.sign_in import Grant
from tests.fakes.faults import Faults
from tests.fakes.people import People

ROOT = "https://entra.example"


class FakeEntra:
    """Keeps `flows.ports.Entra`. A code is good once, and only with the flow it was asked for with."""

    def __init__(self, people: People, faults: Faults) -> None:
        self._people = people
        self._faults = faults
        self._numbers = count(1)
        self._codes: dict[str, tuple[str, str, str]] = {}

    async def begin(self, *, state: str, login_hint: str, claims: str = "") -> tuple[str, str]:
        """The address to send the browser to, and the flow (JSON, secret) to keep until the callback."""
        async with self._faults.at("entra.begin"):
            flow = json.dumps({"state": state, "code_verifier": f"verifier-{next(self._numbers)}"})
            asked = {"state": state, "login_hint": login_hint, **({"claims": claims} if claims else {})}
            return f"{ROOT}/authorize?{urlencode(asked)}", flow

    async def redeem(self, flow: str, answer: Mapping[str, str]) -> Grant:
        """Redeem the code in `answer`; raises Declined where Microsoft refuses."""
        async with self._faults.at("entra.redeem"):
            state, email, claims = self._codes.pop(answer.get("code", ""), ("", "", ""))
            if not email or state != json.loads(flow)["state"] or state != answer.get("state"):
                raise Declined("Microsoft refused the sign-in.", code="invalid_grant", status=400)
            person = self._people[email]
            cache = self._people.signed_in(person, claims)
            access_token = self._people.issue_token(cache)
            assert access_token is not None
            return Grant(
                token_cache=cache,
                tenant_id=person.mailbox.tenant_id,
                object_id=person.mailbox.object_id,
                home_account_id=person.mailbox.home_account_id,
                user_name=person.mailbox.email,
                display_name=person.mailbox.display_name,
                scopes=person.scopes,
                access_token=access_token,
            )

    def admin_consent_url(self, state: str) -> str:
        """Where an administrator can consent for everybody of their organisation."""
        return f"{ROOT}/adminconsent?{urlencode({'state': state})}"

    async def try_credential(self, tenant_id: str | None) -> bool:
        """Whether Microsoft knows the app by its credential; False: no tenant is known to ask in."""
        async with self._faults.at("entra.try_credential"):
            return tenant_id is not None

    def sign_in(self, url: str, email: str, decision: Literal["accept", "decline"] = "accept") -> dict[str, str]:
        """A person at the page of this address: what Microsoft's redirect then brings back."""
        asked = parse_qs(urlsplit(url).query)
        state = asked["state"][0]
        if decision == "decline":
            refused = {"error": "access_denied", "error_subcode": "cancel"}
            return {**refused, "error_description": "AADSTS65004: User declined to consent.", "state": state}
        if self._people[email].admin_consent_required:
            words = "AADSTS90094: An administrator of Contoso has set a policy."
            return {"error": "access_denied", "error_description": words, "state": state}
        code = f"code-{next(self._numbers)}"
        self._codes[code] = (state, email, asked.get("claims", [""])[0])
        return {"code": code, "state": state}
