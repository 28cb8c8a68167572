#!/bin/sh
# Prints the path of a Python 3.13 or newer that can make virtual environments.
# Where there is none: one sentence on standard error, and status 1.

check='import sys, ensurepip, venv
if sys.version_info < (3, 13): sys.exit(1)
print(sys.executable)'

usable() {
    [ -n "$1" ] && "$1" -c "$check" 2>/dev/null
}

# By name first: the shims of pyenv obey .python-version.
for name in python3.13 python3 python python3.14; do
    usable "$name" && exit 0
done
# A pyenv that does not know .python-version, or whose shims are not on the path.
for path in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[3-9]*/bin/python; do
    usable "$path" && exit 0
done
if command -v uv >/dev/null 2>&1; then
    usable "$(uv python find '>=3.13' 2>/dev/null)" && exit 0
fi

echo "Python 3.13 or newer is needed and was not found: install it (with its venv module), then run the same command again." >&2
exit 1
