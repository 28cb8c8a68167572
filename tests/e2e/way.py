"""One person's way through a sign-in, step by step, so that a test can leave it at any of them."""

from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from tests.cloud.directory import Person
from tests.cloud.sign_in import Browser
from tests.e2e.account import Account, unique


@dataclass
class Way:
    """A user of the account, their browser, and the link that the CRM got for them."""

    account: Account
    user_id: str
    person: Person
    browser: Browser
    link: str

    @classmethod
    async def begin(
        cls,
        account: Account,
        expected_email: str | None = None,
        *,
        needs_admin: bool = False,
        user_id: str | None = None,
        person: Person | None = None,
    ) -> Self:
        """A user with a link. A new one, unless `user_id` names one, with a new mailbox, unless `person` will sign in."""
        user_id = user_id or unique("dana")
        person = person or account.new_person(admin_consent_required=needs_admin)
        link = await account.sign_in_link(user_id, expected_email)
        return cls(account, user_id, person, Browser(account.http), link)

    async def to_callback(self, decision: Literal["accept", "decline"] = "accept") -> str:
        """Open the link and click through Microsoft's pages; where they send the browser, which has not gone there yet."""
        return await self.through_microsoft(await self.browser.redirected(self.link), decision)

    async def through_microsoft(self, authorize_url: str, decision: Literal["accept", "decline"] = "accept") -> str:
        """Where Microsoft's pages send this person."""
        clicked = await self.account.http.post(
            f"{self.account.cloud.entra.url}/_lab/sign-in",
            json={"authorize_url": authorize_url, "email": self.person.email, "decision": decision},
        )
        assert clicked.is_success, clicked.text
        return str(clicked.json()["redirect_url"])

    async def back_in_crm(self, callback_url: str) -> dict[str, str]:
        """Go to the callback; what the browser brings back to the CRM."""
        return query_of(await self.browser.redirected(callback_url))

    async def to_completion_code(self) -> str:
        """The whole way but the last step, which is the CRM's."""
        return (await self.back_in_crm(await self.to_callback()))["completion_code"]

    async def complete(self, code: str) -> httpx.Response:
        """The CRM confirms that it is this user."""
        return await self.account.api.complete(self.user_id, code)

    async def connects(self, callback_url: str) -> None:
        """See that the rest of the way ends in a connection to this person's mailbox."""
        brought_back = await self.back_in_crm(callback_url)
        assert brought_back["result"] == "ok"
        completed = await self.complete(brought_back["completion_code"])
        assert completed.status_code == 200, completed.text
        assert completed.json()["email"] == self.person.email


def query_of(url: str) -> dict[str, str]:
    """The query of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def with_query(url: str, **changes: str) -> str:
    """The address with these parameters of its query changed."""
    return urlsplit(url)._replace(query=urlencode(query_of(url) | changes)).geturl()
