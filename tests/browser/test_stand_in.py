"""The stand-in serves the page as the app does, so that what its tests prove holds for the app."""

import httpx
import pytest

from tests.browser.person import CrmUser
from tests.browser.stand_in import PAGES, REQUEST_ID, TOKEN, StandIn
from tests.browser.views import connected, view
from tests.cloud.local import LocalCloud

#: Headers that decide what a browser does with an answer.
DECISIVE = ("content-type", "content-security-policy", "x-frame-options", "referrer-policy")


def _decisive(answer: httpx.Response) -> dict[str, str]:
    """These headers; of the policy all but who may embed the page, which is the CRM's own origin in each case."""
    headers = {name: answer.headers[name] for name in DECISIVE if name in answer.headers}
    if policy := headers.get("content-security-policy"):
        headers["content-security-policy"] = policy.partition("frame-ancestors")[0]
    return headers


async def test_the_page_is_served_alike(cloud: LocalCloud, stand_in: StandIn) -> None:
    """The same bytes with the same policy, so that a script or a style that the app would refuse is refused here too."""
    async with httpx.AsyncClient() as http:
        real, ours = [await http.get(f"{root}/settings/email") for root in (cloud.functions_url, stand_in.url)]
    assert (real.status_code, real.text) == (ours.status_code, ours.text)
    assert _decisive(real) == _decisive(ours)


@pytest.mark.parametrize("name", sorted(path.name for path in PAGES.iterdir() if path.suffix != ".html"))
async def test_the_files_are_served_alike(name: str, cloud: LocalCloud, stand_in: StandIn) -> None:
    """Every file of the page is there, as what it is."""
    async with httpx.AsyncClient() as http:
        real, ours = [await http.get(f"{root}/settings/assets/{name}") for root in (cloud.functions_url, stand_in.url)]
    assert (real.status_code, real.text) == (ours.status_code, ours.text)
    assert real.headers["content-type"] == ours.headers["content-type"]


async def test_the_answers_have_the_same_fields(dana: CrmUser, stand_in: StandIn) -> None:
    """What the page is told of a connection and of a refusal has the fields that the scripted answers have."""
    await dana.connects(dana.mailbox())
    opened = await dana.account.api.settings_page(dana.user_id, dana.crm.return_url)
    root, _, fragment = opened.json()["url"].partition("#token=")
    good, forged = {"Authorization": f"Bearer {fragment}"}, {"Authorization": "Bearer forged"}
    real = (await dana.account.http.get(f"{root}/connection", headers=good)).json()
    scripted = view(connected())
    assert real.keys() == scripted.keys()
    assert real["connection"].keys() == scripted["connection"].keys()
    refused = await dana.account.http.get(f"{root}/connection", headers=forged)
    ours = await dana.account.http.get(f"{stand_in.url}/settings/email/connection", headers=forged)
    assert (refused.status_code, refused.json()["code"]) == (ours.status_code, ours.json()["code"])
    assert refused.json().keys() == ours.json().keys()
    assert TOKEN not in ours.text
    assert REQUEST_ID in ours.text
