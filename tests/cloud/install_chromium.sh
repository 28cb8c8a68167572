#!/bin/sh
# Gets a browser for the browser tests where there is none: Debian's as root, else the one that Playwright brings along.
# $1: the Python that has Playwright.

command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 && exit 0

# Ubuntu has a package of that name too, but it is only a pointer to a snap.
if [ "$(id -u)" = 0 ] && grep -qs '^ID=debian$' /etc/os-release; then
    echo "Installing Chromium"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null
elif [ "$(id -u)" = 0 ]; then
    "$1" -m playwright install --with-deps chromium
else
    "$1" -m playwright install chromium
fi || {
    echo "The browser tests need Chromium and could not get it: install it, then run the same command again." >&2
    exit 1
}
