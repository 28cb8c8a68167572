"""
The document as a page to read: made on the server from the same document, in one piece that loads nothing.

It is whole without JavaScript; the little there is closes the contents on a phone and copies commands.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sync.api.reference.page_types import PREFIX, Types, limits, table
from sync.api.reference.page_words import Html, block, code, json_block, line, prose, shell, text

Json = Mapping[str, Any]
HERE = Path(__file__).parent
SIGNED = (
    "Each event is a POST to `CRM_WEBHOOK_URL`, as Standard Webhooks (https://www.standardwebhooks.com). Verify it with that"
    " project's package for your language, remember `webhook-id`, and answer 2xx within 15 s. Pass over members that you don't"
    " know: more can come."
)


#: How the document writes any status that it does not name.
_STATUS = {"default": "anything else"}


@dataclass(frozen=True)
class Page:
    """The page, and the Content-Security-Policy that lets its own style and script run and nothing else."""

    content: bytes
    policy: str


def page(document: Json) -> Page:
    """The page of this document."""
    style, script = (HERE / "page.css").read_text(), (HERE / "page.js").read_text()
    shown = _Reference(document)
    content = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(document["info"]["title"])}: API reference</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the reference</a>
<header class="top">
<p class="name">{text(document["info"]["title"])} <span class="version">API {text(document["info"]["version"])}</span></p>
<p class="ways"><a class="to-contents" href="#contents">Contents</a>
<a href="openapi.json">openapi.json</a></p>
</header>
<div class="columns">
<nav id="contents" aria-label="Contents"><details class="contents" open>
<summary>Contents</summary>{shown.contents()}</details></nav>
<main id="main" tabindex="-1">{shown.introduction()}{shown.groups()}{shown.events()}{shown.problems()}{shown.schemas()}</main>
</div>
<script>{script}</script>
</body>
</html>
"""
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return Page(content.encode(), policy)


def _hash(source: str) -> str:
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"


class _Reference:
    """The parts of the page."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._types = Types(document["components"]["schemas"])
        self._examples: Json = document["components"]["examples"]
        self._operations: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                self._operations[operation["tags"][0]].append((method, path, operation))

    def contents(self) -> Html:
        groups = [
            (
                name,
                "".join(
                    f'<li><a href="#{o["operationId"]}"><span class="method {m}" aria-hidden="true">{_short(m)}</span>'
                    f"{text(o['summary'])}</a></li>"
                    for m, _, o in operations
                ),
            )
            for name, operations in self._operations.items()
        ]
        events = "".join(f'<li><a href="#event-{kind}">{code(kind)}</a></li>' for kind in self._document["webhooks"])
        shown = "".join(
            f'<h2><a href="#{_anchor(name)}">{text(name)}</a></h2><ul>{items}</ul>' for name, items in groups
        )
        names = "".join(f'<li><a href="#schema-{n}">{text(n)}</a></li>' for n in self._shown_schemas())
        return (
            f'<ul><li><a href="#introduction">Introduction</a></li></ul>{shown}'
            f'<h2><a href="#pushed-events">Pushed events</a></h2><ul>{events}</ul>'
            f'<h2><a href="#problems">Problems</a></h2><h2><a href="#schemas">Schemas</a></h2>'
            f"<details><summary>All schemas</summary><ul>{names}</ul></details>"
        )

    def introduction(self) -> Html:
        info = self._document["info"]
        before = f"APP={text(self._document['servers'][0]['url'])}\nKEY=…   # a function key, from the Azure portal"
        return (
            f'<section id="introduction"><h1>{text(info["title"])}</h1>{prose(info["description"])}'
            "<p>The commands on this page need two variables of the shell:</p>"
            f"{block(before, 'Variables of the shell')}</section>"
        )

    def groups(self) -> Html:
        words = {tag["name"]: tag["description"] for tag in self._document["tags"]}
        return "".join(
            f'<section class="group" id="{_anchor(name)}"><h2>{text(name)}</h2>{prose(words[name])}'
            + "".join(self._operation(*each) for each in operations)
            + "</section>"
            for name, operations in self._operations.items()
        )

    def events(self) -> Html:
        webhooks = self._document["webhooks"]
        first = next(iter(webhooks.values()))["post"]
        parts = "".join(self._event(kind, webhook["post"]) for kind, webhook in webhooks.items())
        answers = "".join(
            f'<tr><th scope="row">{text(_STATUS.get(status, status))}</th><td>{line(answer["description"])}</td></tr>'
            for status, answer in first["responses"].items()
        )
        return (
            f'<section class="group" id="pushed-events"><h2>Pushed events</h2>{prose(SIGNED)}'
            f"{self._parameters(first)}{table('What your answer means', ('Status', 'Meaning'), answers)}{parts}</section>"
        )

    def problems(self) -> Html:
        used = {found for each in self._operations.values() for _, _, operation in each for found in _codes(operation)}
        parts = "".join(self._problem(found, shown) for found, shown in self._examples.items() if found in used)
        return (
            '<section class="group" id="problems"><h2>Problems</h2>'
            f"{prose('Every answer of 4xx and 5xx with a body is one of these. Branch on `code`.')}{parts}</section>"
        )

    def _problem(self, found: str, shown: Json) -> Html:
        example = _example("Example", json_block(shown["value"], f"Example of {found}"), is_open=False)
        return (
            f'<article id="problem-{found}"><h3><a class="self" href="#problem-{found}">{code(found)}</a> '
            f'<span class="status">{shown["value"]["status"]}</span>{self._again(found)}</h3>'
            f"{prose(shown['summary'])}{example}</article>"
        )

    def schemas(self) -> Html:
        shown = self._document["components"]["schemas"]
        parts = "".join(
            f'<article id="schema-{name}"><h3><a class="self" href="#schema-{name}">{text(name)}</a></h3>'
            f"{prose(shown[name].get('description', ''))}{self._types.table(name, f'Members of {name}')}</article>"
            for name in self._shown_schemas()
        )
        return f'<section class="group" id="schemas"><h2>Schemas</h2>{parts}</section>'

    def _shown_schemas(self) -> list[str]:
        return [name for name in self._document["components"]["schemas"] if self._types.is_object(name)]

    def _operation(self, method: str, path: str, operation: Json) -> Html:
        name = operation["operationId"]
        examples = [*self._commands(method, path, operation), *self._answer_examples(operation)]
        return (
            f'<article class="operation" id="{name}"><div class="words">'
            f'<h3><a class="self" href="#{name}">{text(operation["summary"])}</a></h3>'
            f'<p class="route"><span class="method {method}">{method.upper()}</span> {_path(path)}</p>'
            f"{prose(operation.get('description', ''))}{self._parameters(operation)}{self._body(operation)}"
            f"{self._answers(operation)}{self._refusals(operation)}</div>"
            f'<div class="examples">{"".join(examples)}</div></article>'
        )

    def _event(self, kind: str, operation: Json) -> Html:
        content = operation["requestBody"]["content"]["application/json"]
        name = content["schema"]["$ref"].removeprefix(PREFIX)
        shown = json_block(content["examples"]["example"]["value"], f"Example of {kind}")
        example = _example("Example", shown, is_open=True)
        return (
            f'<article class="operation" id="event-{kind}"><div class="words">'
            f'<h3><a class="self" href="#event-{kind}">{code(kind)}</a></h3>{prose(operation["description"])}'
            f"{self._types.table(name, f'Members of {kind}')}</div>"
            f'<div class="examples">{example}</div></article>'
        )

    def _parameters(self, operation: Json) -> Html:
        rows = "".join(
            f'<tr><th scope="row">{code(p["name"])}{_must(p)}</th><td>{self._types.of(p["schema"])}'
            f"{limits(p['schema'])}</td><td>{line(p['description'])}</td></tr>"
            for p in operation.get("parameters", ())
        )
        places = list(dict.fromkeys(p["in"] for p in operation.get("parameters", ())))
        names = {"path": "path", "query": "query", "header": "headers"}
        caption = f"In the {' and '.join(names[place] for place in places)}"
        return table(caption, ("Name", "Type", "Meaning"), rows) if rows else ""

    def _body(self, operation: Json) -> Html:
        body = operation.get("requestBody")
        if body is None:
            return ""
        schema = next(iter(body["content"].values()))["schema"]
        names = [each["$ref"].removeprefix(PREFIX) for each in schema.get("oneOf", [schema])]
        if len(names) == 1:
            return self._types.table(names[0], "Body" if body["required"] else "Body (may be left out)")
        return "".join(self._types.table(name, f"Body: {name}") for name in names)

    def _answers(self, operation: Json) -> Html:
        rows = "".join(
            f'<tr><th scope="row">{status}</th><td>{line(answer["description"])}</td><td>{self._content(answer)}</td></tr>'
            for status, answer in operation["responses"].items()
            if "application/problem+json" not in answer.get("content", {})
        )
        return table("Answers", ("Status", "Meaning", "Body"), rows)

    def _content(self, answer: Json) -> Html:
        shown = [
            self._types.of(content["schema"]) if "$ref" in content["schema"] else code(media_type)
            for media_type, content in answer.get("content", {}).items()
        ]
        return ", ".join(shown) or "none"

    def _refusals(self, operation: Json) -> Html:
        codes = _codes(operation)
        rows = "".join(
            f'<tr><th scope="row">{self._examples[found]["value"]["status"]}</th>'
            f'<td><a href="#problem-{found}">{code(found)}</a>{self._again(found)}</td>'
            f"<td>{line(self._examples[found]['summary'])}</td></tr>"
            for found in codes
        )
        if not rows:
            return ""
        summary = (
            f"Problems: {', '.join(code(found) for found in codes if found != 'internal_error') or code(codes[0])}"
        )
        shown = table(f"Problems of {operation['operationId']}", ("Status", "Code", "Meaning"), rows)
        return f'<details class="refusals"><summary>{summary}</summary>{shown}</details>'

    def _again(self, found: str) -> Html:
        return ' <span class="may">retryable</span>' if self._examples[found]["value"]["retryable"] else ""

    def _commands(self, method: str, path: str, operation: Json) -> Iterator[Html]:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = body.get("examples") or {"": {}}
        for i, example in enumerate(examples.values()):
            command = _curl(method, path, operation, example.get("value"))
            title = example.get("summary") or "Call it"
            yield _example(title, block(text(command), f"{operation['summary']}: {title}"), is_open=not i)

    def _answer_examples(self, operation: Json) -> Iterator[Html]:
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                if media_type != "application/json":
                    continue
                for i, example in enumerate(content.get("examples", {}).values()):
                    title = f"{status}: {example.get('summary') or 'Answer'}"
                    yield _example(
                        title, json_block(example["value"], f"{operation['summary']}, {title}"), is_open=not i
                    )


def _example(title: str, shown: Html, *, is_open: bool) -> Html:
    return f"<details{' open' if is_open else ''}><summary>{line(title)}</summary>{shown}</details>"


def _curl(method: str, path: str, operation: Json, body: object) -> str:
    """The call as a command of the shell."""
    parameters = operation.get("parameters", ())
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    given = "&".join(f"{p['name']}={p['example']}" for p in parameters if p["in"] == "query" and "example" in p)
    parts = [f'curl "$APP{path}{"?" if given else ""}{given}"']
    if method not in ("get", "post") or (method == "post" and body is None):
        parts[0] = parts[0].replace("curl", f"curl -X {method.upper()}")
    schemes = {name for each in operation["security"] for name in each}
    if "functionKey" in schemes:
        parts.append('-H "x-functions-key: $KEY"')
    if "settingsPageToken" in schemes:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    parts += [f'-H "{p["name"]}: {p["example"]}"' for p in parameters if p["in"] == "header"]
    if body is not None:
        parts.append(f"-d {shell(json.dumps(body, indent=2, ensure_ascii=False))}")
    return " \\\n  ".join(parts)


def _codes(operation: Json) -> list[str]:
    return [
        found
        for answer in operation["responses"].values()
        for found in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    ]


def _must(parameter: Json) -> Html:
    return ' <span class="must">required</span>' if parameter["required"] else ""


def _path(path: str) -> Html:
    return code(path).replace("{", "<var>{").replace("}", "}</var>")


def _short(method: str) -> str:
    return {"delete": "DEL"}.get(method, method.upper())


def _anchor(name: str) -> str:
    return f"group-{name.lower().replace(' ', '-')}"
