"""
The cloud on one machine: everything the app talks to, over real HTTP, with nothing from outside.

Each emulator is a class with `async start()`, `async stop()` and `url` (a root without a trailing slash), so that a
test starts just what it needs and `python -m tests.cloud start` starts all of it. What they share:

    clock.py      the one clock of the local cloud, which tests can move
    directory.py  the people, their mailboxes' addresses, and the access tokens Entra ID issued for them
    server.py     an aiohttp application on a port of its own
"""
