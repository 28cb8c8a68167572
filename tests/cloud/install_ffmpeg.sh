#!/bin/sh
# Installs ffmpeg where that can be done without asking (Debian and its kin, as root); otherwise says what to do.

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing ffmpeg"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ffmpeg >/dev/null
else
    echo "The tests make small videos with ffmpeg, which is not installed: install it (Debian: apt-get install ffmpeg," \
        "macOS: brew install ffmpeg), then run the same command again." >&2
    exit 1
fi
