"""
In-memory stand-ins for everything the flows need of the outside, with the same promises: tests/contracts runs one suite
over each of them and over the real adapter beside it.

    faults.py         what goes wrong, and when: each awaited call of each fake asks it first
    clock.py          a clock that a test sets
    versioned.py      rows with versions, as a table keeps them
    people.py         who there is at Microsoft, with their mailboxes and sign-ins
    sign_ins.py connections.py anchors.py journal.py content.py work.py sealing.py tokens.py providers.py: storage
    entra.py mail.py subscriptions.py (graph_access.py: the door of both) crm.py smtp.py: neighbours

A fake yields to other tasks at each call, as a network does, and does its work in one piece between two yields.
"""
