"""The user's choice through which door individual emails go."""

from dataclasses import replace

from sync.domain.connection import Connection, DefaultSender
from sync.domain.errors import Conflict, NotConnected, NotFound
from sync.flows.ports import Connections


async def choose(connections: Connections, account_id: str, user_id: str, default_sender: DefaultSender) -> Connection:
    """Keep the choice with the connection; raises NotFound where there never was one, NotConnected where it has ended."""
    while True:
        connection = await connections.of_user(account_id, user_id)
        if connection is None:
            raise NotFound
        if not connection.live:
            raise NotConnected
        if connection.default_sender is default_sender:
            return connection
        try:
            return await connections.save(replace(connection, default_sender=default_sender))
        except Conflict:
            continue
