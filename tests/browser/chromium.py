"""The browser: the system's Chromium where there is one, else the one that Playwright installed."""

import shutil

from playwright.async_api import Browser, Playwright

#: As Debian and others name it.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Quiet: nothing but what a test asks for goes over the network. --no-sandbox: CI runs as root in a container.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


async def launch(playwright: Playwright) -> Browser:
    """A headless browser; close it after use."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    return await playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
