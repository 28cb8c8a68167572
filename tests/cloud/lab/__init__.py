"""
The lab of `make start`: a small CRM on the left, a person's mailbox on the right, to see the sync with one's own eyes.

The CRM is a real client of the app: its backend holds the function key and calls the public API, nothing else. The
mailbox is a real client of Graph, with a token of Outlook's. Between them is only the app.

    lab.py        puts everything together; one HTTP server
    guard.py      who may call it, and what browsers may do with its pages
    contoso.py    the CRM's backend: what it keeps up to date by the app's feed of events
    crm_view.py   what the CRM shows of that; crm_routes.py serves it
    mailbox.py    one person in their mailbox; mailbox_view.py what is shown of it; mailbox_routes.py serves it
    verdict.py    for each message of a mailbox: did it sync, and why not
    tour.py       the path for a newcomer, and how far they are
    samples.py    files to try the attachment rule with
    mail_page.py  the body of an email as a page for a sandboxed frame
    words.py      the API's codes in plain words
    developers.py addresses, keys, and commands to copy into a terminal
    static/       HTML, CSS and JavaScript as the browser gets them
"""

from tests.cloud.lab.lab import Lab

__all__ = ["Lab"]
