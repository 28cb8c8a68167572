"""What a visit of the page costs: bytes, which are judged, and time, which is printed."""

from playwright.async_api import expect

from tests.browser.audit import violations
from tests.browser.person import CrmUser, in_sync

LIMIT_BYTES = 60_000
VISITS = 5
#: Marks the moment in which the page knows its state.
MARK_STATE = """
new MutationObserver((_, observer) => {
    if (!document.getElementById("state-words")?.textContent) return;
    performance.mark("state");
    observer.disconnect();
}).observe(document, { subtree: true, childList: true });
"""


async def test_a_visit_is_small_and_quick(dana: CrmUser) -> None:
    """
    A first visit of the real page transfers at most 60 kB, headers included, and nothing from anywhere else.

    Its time depends on the machine: it is printed to be looked at (make test PYTEST_ARGS="-s -k budget").
    """
    mailbox = dana.mailbox()
    await dana.connects(mailbox)
    link = (await dana.account.api.settings_page(dana.user_id, dana.crm.return_url)).json()["url"]
    page = await dana.visit.context.new_page()
    devtools = await dana.visit.context.new_cdp_session(page)
    received: list[float] = []
    asked: set[str] = set()
    devtools.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    devtools.on(
        "Network.requestWillBeSent", lambda event: asked.add(event["request"]["url"].partition("/settings/")[0])
    )
    await devtools.send("Network.enable")
    await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await page.add_init_script(MARK_STATE)

    shown_ms = []
    for _ in range(VISITS):
        await page.goto("about:blank")
        received.clear()
        await page.goto(link)
        await expect(page.locator("#state-words")).not_to_be_empty()
        shown_ms.append(await page.evaluate("performance.getEntriesByName('state')[0].startTime"))
        await page.wait_for_load_state("networkidle")
    times = ", ".join(f"{each:,.0f}" for each in sorted(shown_ms))
    print(f"a visit transfers {sum(received):,.0f} bytes; the state is there after {times} ms")  # noqa: T201

    await in_sync(page.main_frame, mailbox)
    assert await violations(page) == []
    assert len(received) >= 9
    assert sum(received) <= LIMIT_BYTES
    assert asked <= {dana.account.cloud.functions_url, "data:,", "about:blank"}
