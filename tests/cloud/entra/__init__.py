"""
Entra ID v2.0 on one machine: sign-in pages, codes, tokens and the controls of tests, over real HTTP.

    app.py            EntraEmulator: what a test starts, and every route
    discovery.py      the documents MSAL and others read first, and which tenants there are
    parameters.py     no parameter twice, none that is not known
    authorize_request.py  what an app asks for at the authorize endpoint, checked, and how it is answered
    authorize.py      the sign-in: who, what is asked, accept or cancel
    admin_consent.py  an administrator agrees for a whole tenant
    token.py          codes and refresh tokens into access tokens and id_tokens
    clients.py        the registered apps and how they prove who they are
    grants.py         what was agreed to and what was issued for it
    refusals.py       why a refresh is refused, and in which words
    troubles.py       what a person's connection can suffer, and what heals it
    state.py          what the parts share
    switches.py       the doubtful facts
    scopes.py         the permissions there are, in plain words
    keys.py           the signing key and what it signs
    errors.py         AADSTS errors, as JSON and as redirect parameters
    pages.py          the HTML
    recording.py      the requests that were made, without their secrets
    lab.py            the controls under /_lab
    lab_troubles.py   those that make things fail
"""

from tests.cloud.entra.app import EntraEmulator
from tests.cloud.entra.recording import RecordedRequest
from tests.cloud.entra.switches import Switches

__all__ = ["EntraEmulator", "RecordedRequest", "Switches"]
