"""What an operator reads after a deployment: whether the real app reaches what it needs, and what is wrong where it does not."""

from tests.cloud.crm_api import CrmApi
from tests.e2e.account import Account, Connected, Json
from tests.e2e.test_operator_trouble import secret

NAMES = (
    *("storage", "key_vault", "entra_credential", "graph", "notification_address", "notification_certificate"),
    "crm_webhook",
)


async def checks(api: CrmApi) -> dict[str, Json]:
    """The checks by name, taken by a worker that has not looked yet."""
    return {check["name"]: check for check in (await api.status(checks=True)).json()["checks"]}


async def test_all_is_well_once_a_mailbox_is_connected(connected: Connected) -> None:
    """Each of the neighbours was asked, the CRM by one event that is in no feed."""
    await connected.cloud.functions.kill_worker()
    found = await checks(connected.api)
    assert {name: check["ok"] for name, check in found.items()} == dict.fromkeys(NAMES, True)
    assert all(check["what_to_do"] is None for check in found.values())
    assert (await connected.api.status()).json()["checks"] == []


async def test_what_is_wrong_is_said_with_what_to_do(connected: Connected) -> None:
    """The secret has expired and the CRM is down: both are told, nothing else is."""
    crm = f"{connected.cloud.crm.url}/_lab/answer"
    await connected.cloud.functions.kill_worker()
    async with secret(connected, "expired"):
        (await connected.http.post(crm, json={"status": 503, "type": "webhook.test"})).raise_for_status()
        found = await checks(connected.api)
    assert [name for name, check in found.items() if not check["ok"]] == ["entra_credential", "crm_webhook"]
    assert "AADSTS7000222" in found["entra_credential"]["detail"]
    assert "ENTRA_CLIENT_SECRET" in found["entra_credential"]["what_to_do"]
    assert found["crm_webhook"]["detail"] == "The receiver answered 503 to a webhook.test event."


async def test_whoever_asks_oddly_is_told(account: Account) -> None:
    """`checks` is true or false."""
    answer = await account.api._http.get("/v1/status", params={"checks": "maybe"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
