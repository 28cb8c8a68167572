"""
The HTML of the sign-in: plain, accessible, without JavaScript but for the automatic form_post.

Fidelity. Imitated: the order of the pages and what can be pressed on them. Not imitated, on purpose: Microsoft's looks
and trademarks. Every page says that it is an emulator.
"""

from html import escape

from aiohttp import web

from tests.cloud.directory import Person
from tests.cloud.entra.authorize_request import Answer, AuthorizeRequest
from tests.cloud.entra.clients import RegisteredApp
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.scopes import Scopes

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5a6478; --line: #d4d9e3; --paper: #fff; --ground: #eef1f6;
        --accent: #2b5a9e; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #a5aec0; --line: #3c4454; --paper: #1e2430; --ground: #12161e; --accent: #8fb4ec;
          --wrong: #ffb4ab; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
       color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 28rem; padding: 2rem; background: var(--paper); border: 1px solid var(--line);
       border-radius: .75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.4rem; line-height: 1.25; }
h2 { margin: 1.5rem 0 .5rem; font-size: 1.05rem; }
input.typed { width: 100%; font: inherit; padding: .55rem .7rem; border: 1px solid var(--soft); border-radius: .5rem;
              background: var(--paper); color: inherit; }
input.typed:focus-visible { border-color: var(--accent); outline: 2px solid var(--accent); outline-offset: 1px; }
.wrong { color: var(--wrong); margin: .4rem 0 0; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; } .soft, footer { color: var(--soft); font-size: .875rem; } code { overflow-wrap: anywhere; }
button { font: inherit; padding: .6rem 1.1rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer;
         background: transparent; color: inherit; }
button:hover, button:focus-visible { border-color: var(--accent); outline: 2px solid var(--accent); outline-offset: 1px; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--paper); }
button.person { display: block; width: 100%; margin-bottom: .5rem; text-align: left; }
button.person small { display: block; color: var(--soft); }
.actions { display: flex; gap: .75rem; justify-content: flex-end; margin-top: 1.5rem; }
fieldset { border: 1px solid var(--line); border-radius: .5rem; } label { display: block; } a { color: var(--accent); }
footer { margin-top: 1.5rem; border-top: 1px solid var(--line); padding-top: .75rem; }
"""
#: As the real pages: never kept, never framed.
_HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "DENY"}


def choose_account(
    request: AuthorizeRequest, people: list[Person], hinted: Person | None, typed: str, problem: EntraError | None
) -> web.Response:
    """
    Who is it? With a `hinted` person only that one is shown, and a way to the others.

    `typed` is the address that was given before, and `problem` what is wrong with it.
    """
    shown = [hinted] if hinted else people
    buttons = "".join(
        f'<button class="person" name="email" value="{escape(person.email)}">{escape(person.name)}'
        f" <small>{escape(person.email)}</small></button>"
        for person in shown
    )
    parts = [f"<h1>Pick an account</h1><p>to continue to <strong>{escape(request.app.name)}</strong></p>"]
    if request.login_hint and not hinted:
        parts.append(f'<p role="status">There is no account <strong>{escape(request.login_hint)}</strong> here.</p>')
    if not people:
        parts.append("<p>Nobody can sign in here yet. Add a person with <code>POST /_lab/users</code>.</p>")
    carried = {"authorize": request.query}
    parts.append(_form(f"/{request.tenant}/login", carried, buttons))
    if hinted and len(people) > 1:
        address = f"/{request.tenant}/oauth2/v2.0/authorize?{_without_hint(request)}"
        parts.append(f'<p><a href="{escape(address)}">Show all accounts</a></p>')
    parts.append("<h2>Use another account</h2>")
    kind = 'type="email" autocomplete="username" spellcheck="false"'
    field = _field("email", "Email", kind, typed, problem, focused=problem is not None)
    parts.append(_form(f"/{request.tenant}/login", carried, field + _NEXT))
    return _page("Pick an account", "".join(parts))


def enter_code(request: AuthorizeRequest, person: Person, problem: EntraError | None = None) -> web.Response:
    """The code of this person, which the page gives away: who plays with the emulator has no telephone for it."""
    kind = 'type="text" inputmode="numeric" autocomplete="one-time-code"'
    field = _field("code", "Code", kind, "", problem, focused=True)
    body = (
        f'<p class="soft">{escape(person.email)}</p><h1>Enter code</h1>'
        f"<p>Enter the code that your authenticator app shows.</p>"
        + _form(f"/{request.tenant}/code", {"authorize": request.query, "email": person.email}, field + _VERIFY)
        + f'<p class="soft">In this emulator it is <code>{escape(person.code)}</code>.</p>'
    )
    return _page("Enter code", body)


def consent(request: AuthorizeRequest, person: Person, proof: str) -> web.Response:
    """What the app asks for, in plain words. `proof` is that the person has signed in."""
    carried = {"authorize": request.query, "email": person.email, "proof": proof}
    body = (
        f'<p class="soft">{escape(person.email)}</p><h1>Permissions requested</h1>'
        f"<p><strong>{escape(request.app.name)}</strong> would like to:</p>{_permissions(request.scopes)}"
        + _form(f"/{request.tenant}/consent", carried, _DECISION)
    )
    return _page("Permissions requested", body)


def need_approval(request: AuthorizeRequest, person: Person, proof: str) -> web.Response:
    """This person may not agree; the only way leads back. `proof` is that the person has signed in."""
    carried = {"authorize": request.query, "email": person.email, "proof": proof}
    back = '<button name="decision" value="decline">Return to the application without granting consent</button>'
    body = (
        f'<p class="soft">{escape(person.email)}</p><h1>Need admin approval</h1>'
        f"<p><strong>{escape(request.app.name)}</strong> asks for permissions that only an administrator of your "
        f"organization can grant. Ask an administrator to approve the app, then sign in again.</p>"
        f"{_permissions(request.scopes)}" + _form(f"/{request.tenant}/consent", carried, back)
    )
    return _page("Need admin approval", body)


def admin_consent(app: RegisteredApp, scopes: Scopes, query: str, path: str, tenants: dict[str, str]) -> web.Response:
    """The same question for a whole organization; `tenants` are the domains by their tenant's id."""
    choices = "".join(
        f'<label><input type="radio" name="tenant" value="{escape(tenant_id)}" required{" checked" if first else ""}> '
        f"{escape(domain)}</label>"
        for first, (tenant_id, domain) in zip([True] + [False] * len(tenants), tenants.items(), strict=False)
    )
    body = (
        f"<h1>Permissions requested for your organization</h1>"
        f"<p>As its administrator, let <strong>{escape(app.name)}</strong> do this for everyone in it:</p>"
        f"{_permissions(scopes)}"
        + _form(path, {"request": query}, f"<fieldset><legend>Organization</legend>{choices}</fieldset>{_DECISION}")
    )
    return _page("Permissions requested for your organization", body)


def error(refusal: EntraError) -> web.Response:
    """What is wrong, for the person who runs the app: nobody is redirected."""
    body = (
        "<h1>Sorry, we cannot sign you in</h1>"
        f'<p role="alert"><code>{escape(refusal.error)}</code></p><p>{escape(str(refusal))}</p>'
    )
    return _page("Sign-in error", body, status=refusal.status)


def go_back(answer: Answer) -> web.Response:
    """Send the browser back to the app: by a redirect, or by a form that submits itself (form_post)."""
    if answer.form is None:
        return web.Response(status=302, headers={**_HEADERS, "Location": answer.url})
    form = _form(answer.url, answer.form, '<button class="main">Continue</button>')
    body = f"<h1>Working…</h1><p>If nothing happens, press Continue.</p>{form}"
    return _page("Working…", body + "<script>document.forms[0].submit()</script>")


_NEXT = '<div class="actions"><button class="main">Next</button></div>'
_VERIFY = '<div class="actions"><button class="main">Verify</button></div>'
_DECISION = (
    '<div class="actions"><button name="decision" value="decline">Cancel</button>'
    '<button class="main" name="decision" value="accept">Accept</button></div>'
)


def _permissions(scopes: Scopes) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in scopes.in_plain_words()) + "</ul>"


def _form(action: str, hidden: dict[str, str], inside: str) -> str:
    fields = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in hidden.items())
    return f'<form method="post" action="{escape(action)}">{fields}{inside}</form>'


def _field(name: str, label: str, attributes: str, typed: str, problem: EntraError | None, *, focused: bool) -> str:
    """A field to type in, with what was typed before and what is wrong with that."""
    if problem is None:
        described, told = "", ""
    else:
        described = f' aria-invalid="true" aria-describedby="{name}-wrong"'
        told = f'<p class="wrong" id="{name}-wrong" role="alert">{escape(str(problem))}</p>'
    focus = " autofocus" if focused else ""
    return (
        f'<label for="{name}">{label}</label><input class="typed" id="{name}" name="{name}" {attributes}'
        f' value="{escape(typed)}" required{focus}{described}>{told}'
    )


def _without_hint(request: AuthorizeRequest) -> str:
    return "&".join(pair for pair in request.query.split("&") if not pair.startswith("login_hint="))


def _page(title: str, body: str, status: int = 200) -> web.Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><main>{body}<footer>Local emulator of Microsoft Entra ID. No password is asked, nothing leaves this machine."
        "</footer></main></body></html>"
    )
    return web.Response(text=text, content_type="text/html", status=status, headers=_HEADERS)
