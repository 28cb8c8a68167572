"""
The permissions there are, and what they are called on a consent page.

Fidelity. Imitated: reserved OpenID scopes beside Graph's, Graph's written short or with its resource in front, names in
any case, a Graph name that does not exist (AADSTS650053), a resource that does not exist (AADSTS500011)
(https://learn.microsoft.com/entra/identity-platform/scopes-oidc, https://learn.microsoft.com/graph/permissions-reference).
Not imitated: `.default`, resources other than Graph, and every Graph permission that has nothing to do with mail.
"""

from dataclasses import dataclass

from tests.cloud.entra.errors import EntraError

GRAPH_RESOURCE = "https://graph.microsoft.com/"
_GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000/"

#: The scopes of OpenID Connect itself.
RESERVED = frozenset({"openid", "profile", "email", "offline_access"})

#: Graph's delegated permissions, in the words of a consent page.
PERMISSIONS = {
    "User.Read": "See your name and email address",
    "Mail.ReadBasic": "See who your emails are from and their subjects, but not what they say",
    "Mail.Read": "Read your emails",
    "Mail.ReadWrite": "Read, write and delete emails in your mailbox",
    "Mail.Send": "Send emails as you",
    "Mail.Read.Shared": "Read emails in mailboxes shared with you",
    "Mail.ReadWrite.Shared": "Read, write and delete emails in mailboxes shared with you",
    "Mail.Send.Shared": "Send emails on behalf of others who allowed you to",
    "Mail-Advanced.ReadWrite": "Change emails that were already sent or received",
    "MailboxSettings.Read": "See the settings of your mailbox",
    "MailboxSettings.ReadWrite": "See and change the settings of your mailbox",
}
_CANONICAL = {name.lower(): name for name in PERMISSIONS}


@dataclass(frozen=True)
class Scopes:
    """What an app asks for: Graph permissions by their documented short names, as ordered by the app, and the reserved."""

    graph: tuple[str, ...]
    reserved: frozenset[str]

    def in_plain_words(self) -> list[str]:
        """One sentence for each permission, as a consent page lists them."""
        lines = [PERMISSIONS[name] for name in self.graph]
        if self.reserved & {"openid", "profile", "email"} and "User.Read" not in self.graph:
            lines.append(PERMISSIONS["User.Read"])
        if "offline_access" in self.reserved:
            lines.append("Keep this access while you are away")
        return lines


def parse_scopes(text: str) -> Scopes:
    """Read a space-separated `scope`; raises `EntraError` for what does not exist."""
    graph: dict[str, None] = {}
    reserved = set()
    for word in text.split():
        if word.lower() in RESERVED:
            reserved.add(word.lower())
        else:
            graph[_graph_permission(word)] = None
    if not graph and not reserved:
        raise EntraError("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
    return Scopes(graph=tuple(graph), reserved=frozenset(reserved))


def _graph_permission(word: str) -> str:
    name = word.lower()
    for prefix in (GRAPH_RESOURCE, _GRAPH_APP_ID):
        name = name.removeprefix(prefix)
    if "/" in name:
        resource = word.rpartition("/")[0]
        raise EntraError("invalid_resource", 500011, f"The resource principal named {resource} was not found.")
    if name not in _CANONICAL:
        raise EntraError("invalid_client", 650053, f"The scope '{word}' doesn't exist on the resource Microsoft Graph.")
    return _CANONICAL[name]
