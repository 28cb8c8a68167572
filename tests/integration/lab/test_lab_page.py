"""The lab's pages: who may call them, what browsers may do with them, and the way back from Microsoft."""

import re
from pathlib import Path

import httpx
import pytest

from tests.cloud.lab import Lab
from tests.cloud.local import LocalCloud
from tests.integration.lab.visitor import DANA, Visitor

HEALTHY = Path(__file__).parents[1] / "apps" / "healthy"


async def test_the_page_and_everything_it_loads_is_there(visitor: Visitor) -> None:
    """Each stylesheet, script and module that the page names is served by the lab itself, and nothing else is named."""
    page = await visitor.get("/")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    found = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
    assert found
    assert "http:" not in page.text
    assert "https:" not in page.text
    looked: set[str] = set()
    while found - looked:
        path = (found - looked).pop()
        looked.add(path)
        answer = await visitor.get(path)
        assert answer.status_code == 200, path
        if path.endswith(".js"):
            found |= {f"/static/{name}" for name in re.findall(r'from "\./([\w.]+)"', answer.text)}
    assert {"/static/mailbox.js", "/static/thread.js"} <= looked


async def test_developers_find_addresses_keys_and_commands(visitor: Visitor) -> None:
    """Everything of `.cloud.json` is on the developers' page, with who has a mailbox."""
    page = (await visitor.get("/developers")).text

    addresses = visitor.cloud.addresses
    for name in ("functions", "entra", "graph", "crm", "smtp", "smtp_lab", "function_key", "webhook_secret"):
        assert addresses[name] in page, name
    assert visitor.lab.url in page
    assert DANA in page


@pytest.mark.parametrize("path", ["/", "/now", "/developers"])
async def test_a_name_that_leads_here_from_elsewhere_is_refused(visitor: Visitor, path: str) -> None:
    """A page of another host, made to resolve to this machine, reads nothing: above all no keys."""
    answer = await visitor.http.get(path, headers={"Host": "evil.example"})

    assert answer.status_code == 421
    assert visitor.cloud.function_key not in answer.text


async def test_localhost_is_sent_on_to_the_one_address(visitor: Visitor) -> None:
    """The app lets one origin frame its settings page, so whoever types localhost gets there."""
    port = visitor.lab.url.rpartition(":")[2]

    answer = await visitor.http.get("/developers", headers={"Host": f"localhost:{port}"})

    assert (answer.status_code, answer.headers["location"]) == (307, f"{visitor.lab.url}/developers")


@pytest.mark.parametrize("path", ["/crm/emails", "/crm/session", f"/mailbox/{DANA}/incoming"])
async def test_what_another_sites_form_can_send_changes_nothing(visitor: Visitor, path: str) -> None:
    """A form of another page sends text or form data; only JSON is taken."""
    body = '{"user_id": "lee"}'

    as_text = await visitor.http.post(path, content=body, headers={"Content-Type": "text/plain"})
    as_form = await visitor.http.post(path, data={"user_id": "lee"})

    assert (as_text.status_code, as_form.status_code) == (415, 415)


async def test_the_body_of_a_mail_can_do_nothing(visitor: Visitor) -> None:
    """Its page allows no script, form, frame or anything from elsewhere, and only the lab may frame it."""
    hostile = '<p>Hi</p><script>alert(1)</script><form action="https://evil.example"><img src="https://evil.example/x">'
    arrived = await visitor.http.post(
        f"{visitor.cloud.graph.url}/_lab/mail",
        json={"to": DANA, "from": "eve@evil.example", "subject": "Hostile", "html": hostile},
    )

    page = await visitor.get(f"/mailbox/{DANA}/messages/{arrived.json()['id']}/body")

    policy = page.headers["content-security-policy"].split("; ")
    assert {"sandbox allow-same-origin", "default-src 'none'", "form-action 'none'", "frame-ancestors 'self'"} <= {
        *policy
    }
    assert not [rule for rule in policy if rule.startswith(("script-src", "connect-src", "frame-src"))]
    assert "img-src data:" in policy


@pytest.mark.parametrize(
    ("brought", "outcome"),
    [
        ({"result": "declined"}, "declined"),
        ({"result": "admin_consent_required", "admin_consent_url": "https://x.example"}, "admin_consent_required"),
        ({"result": "expired"}, "expired"),
        ({}, "failed"),
        ({"result": "ok"}, "completion_code_unknown"),
        ({"result": "ok", "completion_code": "made.up"}, "completion_code_unknown"),
        ({"result": "<script>"}, "failed"),
        ({"result": "//evil.example"}, "failed"),
    ],
)
async def test_the_way_back_from_microsoft_ends_in_the_settings(
    visitor: Visitor, brought: dict[str, str], outcome: str
) -> None:
    """The page is told how it ended by one word, of the contract or of the app's refusal, and by nothing that was brought."""
    assert await visitor.comes_back(**brought) == f"/?signed_in={outcome}"


async def test_somebody_elses_way_back_connects_nothing(visitor: Visitor) -> None:
    """A completion code of Dana's sign-in, brought by a browser in which Lee is signed in to the CRM, is refused."""
    async with visitor.cloud.api() as api:
        begun = await api.start_sign_in("dana", f"{visitor.lab.url}/signed-in")
    brought = await visitor.goes_to_microsoft(begun.json()["sign_in_url"], DANA)
    await visitor.works_as("lee")

    assert await visitor.comes_back(**brought) == "/?signed_in=completion_code_unknown"
    connection = (await visitor.now())["crm"]["connection"]
    assert (connection or {}).get("email") != DANA


async def test_the_settings_page_may_be_framed_here(visitor: Visitor) -> None:
    """The app's own page comes by a link of one user, and its policy names the lab as who may frame it."""
    link = (await visitor.post("/crm/settings-page")).json()["url"]

    page = await visitor.http.get(link)

    assert page.status_code == 200
    [framing] = [rule for rule in page.headers["content-security-policy"].split("; ") if "frame-ancestors" in rule]
    assert visitor.lab.url in framing.split()


async def test_what_is_wrong_is_said() -> None:
    """With an app that has none of the routes, and with one that is gone, the page gets a sentence to show."""
    cloud = LocalCloud(app_folder=HEALTHY)
    cloud.directory.add(DANA, "Dana Whitfield")
    lab = Lab.beside(cloud)
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as http:
        async with cloud:
            await lab.start()
            without_routes = await http.get("/now")
            no_page = await http.post("/crm/settings-page", json={})
        gone = await http.get("/now")
    await lab.stop()

    assert (without_routes.status_code, no_page.status_code) == (404, 404)
    assert without_routes.json()["error"]
    assert gone.status_code == 503
    assert gone.json()["error"].endswith("does not answer.")
