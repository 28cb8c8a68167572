"""The developers' page: everything that runs, who has a mailbox, and commands to copy into a terminal."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cloud.directory import Person

#: What each address is, and the page of it that a person wants to see.
_WHAT_IT_IS = {
    "functions": ("The app itself: what a CRM talks to", "/docs"),
    "entra": ("Entra ID: sign-in pages and tokens (emulator)", "/_lab/users"),
    "graph": ("Microsoft Graph: the mailboxes (emulator)", "/_lab/requests"),
    "crm": ("Where the app pushes its events", "/_lab/events"),
    "smtp": ("The account's own e-mail provider (SMTP; nothing is delivered)", ""),
    "smtp_lab": ("What that provider got", "/_lab/messages"),
    "lab": ("This lab: its CRM and its mailboxes", "/"),
}


@dataclass(frozen=True)
class Example:
    """Something to try: `what` it does, and the request; with a `body` it is a POST of JSON."""

    what: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def command(self) -> str:
        """The same for a POSIX shell."""
        lines = [f"curl -s '{self.url}'"]
        lines += [f"-H '{name}: {value}'" for name, value in self.headers.items()]
        if self.body is not None:
            quoted = json.dumps(self.body, ensure_ascii=False).replace("'", "'\\''")
            lines += ["-H 'content-type: application/json'", f"-d '{quoted}'"]
        return " \\\n  ".join(lines)


def examples(addresses: Mapping[str, Any], person: Person) -> list[Example]:
    """What to try, in order. `person` signs in; their CRM user id is `dana`, as in the lab's own CRM."""
    app, entra, graph, crm = (addresses[name] for name in ("functions", "entra", "graph", "crm"))
    connection = f"{app}/v1/accounts/acme/users/dana/connection"
    key = {"x-functions-key": addresses["function_key"]}
    contact = "ada@customer.example"
    mail = {
        "kind": "individual",
        "user_id": "dana",
        "to": [{"address": contact, "name": "Ada", "contact_id": "c1"}],
        "subject": "Our offer",
        "html": "<p>Dear Ada, here it is.</p>",
    }
    reply = {
        "to": person.email,
        "from": contact,
        "subject": "RE: Our offer",
        "text": "Thank you!",
        "in_reply_to": "INTERNET_MESSAGE_ID",
        "conversation": "same",
    }
    outlook = {"email": person.email, "scope": "Mail.ReadWrite Mail.Send"}
    return [
        Example(
            "Start a sign-in; open the sign_in_url of the answer in a browser and click through it",
            f"{connection}/sign-in", key, {"return_url": f"{crm}/connected"},
        ),
        Example(
            "Confirm it with the completion_code that the browser came back with",
            f"{connection}/complete", key, {"completion_code": "COMPLETION_CODE"},
        ),
        Example("Look at the connection", connection, key),
        Example(
            "Send an e-mail from the CRM",
            f"{app}/v1/accounts/acme/messages", key | {"Idempotency-Key": "offer-1"}, mail,
        ),
        Example("See what the CRM was told, with the message's internet_message_id", f"{crm}/_lab/events"),
        Example("Answer it as the contact", f"{graph}/_lab/mail", body=reply),
        Example("Act as the person in Outlook: a token for Graph", f"{entra}/_lab/token", body=outlook),
        Example("Every call to Graph about this mailbox", f"{graph}/_lab/requests?mailbox={person.email}"),
        Example(
            "Make the next two sends fail",
            f"{graph}/_lab/faults", body={"match": "POST */send", "status": 503, "times": 2},
        ),
        Example(
            "Lose a third of the notifications, repeat some",
            f"{graph}/_lab/notifications", body={"drop_rate": 0.33, "duplicate_rate": 0.5},
        ),
        Example("Make the CRM refuse the next three events", f"{crm}/_lab/answer", body={"status": 503, "times": 3}),
        Example("Take the person's permission away", f"{entra}/_lab/revoke", body={"email": person.email}),
        Example("Move the clock an hour forward", f"{graph}/_lab/clock", body={"advance_s": 3600}),
        Example(
            "Add somebody with a mailbox",
            f"{entra}/_lab/users", body={"email": "kim@northwind.example", "name": "Kim"},
        ),
    ]  # fmt: skip


def developers_page(addresses: Mapping[str, Any], people: Sequence[Person]) -> str:
    """
    The page as HTML. It shows keys: serve it to the person at this machine only.

    addresses: as in `.cloud.json`. people: whose mailboxes there are, as of now.
    """
    flat = [(what, addresses[name], page, name) for name, (what, page) in _WHAT_IT_IS.items()]
    flat += [("Azure Storage (Azurite)", url, "", f"azurite {name}") for name, url in addresses["azurite"].items()]
    flat += [
        ("What the CRM's backend sends as x-functions-key", addresses["function_key"], "", "function key"),
        ("With which the CRM verifies the events", addresses["webhook_secret"], "", "webhook secret"),
    ]
    table = "".join(
        f"<tr><th scope=row>{html.escape(what)}<td>{_value(value, page)}<td class=name>{html.escape(name)}"
        for what, value, page, name in flat
    )
    mailboxes = "".join(
        f"<li>{html.escape(person.name)} <code>{html.escape(', '.join(person.addresses))}</code>" for person in people
    )
    steps = "".join(
        f"<li><p>{html.escape(example.what)}</p><pre tabindex=0>{html.escape(example.command)}</pre>"
        for example in (examples(addresses, people[0]) if people else [])
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>For developers · The lab</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/developers.css">
<header><p><a href="/">← Back to the lab</a></p><h1>For developers</h1>
<p>Nothing here leaves this machine, and nothing is kept when it stops. The same addresses and keys are in
<code>.cloud.json</code> as long as it runs.</p></header>
<main>
<h2>What runs</h2>
<div class="wide" tabindex=0 role="group" aria-label="Addresses"><table>{table}</table></div>
<h2>Who has a mailbox</h2>
<ul>{mailboxes}</ul>
<h2>Try it from a terminal</h2>
<p>The account is the lab's own: what you do here shows there.</p>
<ol>{steps}</ol>
</main>
</html>"""


def _value(value: str, page: str) -> str:
    shown = f"<code>{html.escape(value)}</code>"
    return f'<a href="{html.escape(value + page)}">{shown}</a>' if page else shown
