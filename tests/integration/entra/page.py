"""A sign-in page, read as a person without JavaScript has it."""

import html.parser

import httpx


class Page(html.parser.HTMLParser):
    """
    A page as its user has it: its heading, its text, what can be typed, pressed or chosen, and where each button leads.

    `fields` are what every form of the page carries, hidden ones too; `typed` the names of those to type in, by their label;
    `attributes` what is said of these, by their name.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        self.status = response.status_code
        self.action = ""
        self.fields: dict[str, str] = {}
        self.typed: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self.buttons: dict[str, dict[str, str]] = {}
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._actions: dict[str, str] = {}
        self._inside: list[str] = []
        self._pressed: dict[str, str] = {}
        self._label = ""
        self._label_for = ""
        self.heading = ""
        self.text = ""
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag not in {"input", "meta", "link"}:
            self._inside.append(tag)
        match tag:
            case "form":
                self.action = have["action"]
            case "input" if have["type"] == "radio":
                if "checked" in have:
                    self.fields[have["name"]] = have["value"]
            case "input":
                self.fields[have["name"]] = have["value"]
                self.attributes[have["name"]] = have
            case "label":
                self._label, self._label_for = "", have.get("for", "")
            case "button":
                self._pressed, self._label = ({have["name"]: have["value"]} if "name" in have else {}), ""
            case "a":
                self.links.append(have["href"])

    def handle_data(self, data: str) -> None:
        if "style" in self._inside[-1:]:
            return
        self.text += data
        self._label += data
        if "h1" in self._inside[-1:]:
            self.heading += data

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass
        if tag == "button":
            self.buttons[self._label] = self._pressed
            self._actions[self._label] = self.action
        if tag == "label" and self._label_for:
            self.typed[self._label] = self._label_for

    @property
    def people(self) -> list[str]:
        """The first names of the accounts to pick."""
        return [label.split(" ")[0] for label, pressed in self.buttons.items() if "email" in pressed]

    async def press(self, browser: httpx.AsyncClient, label: str) -> httpx.Response:
        """Press the button that says this, or begins with it."""
        [said] = [text for text in self.buttons if text.startswith(label)]
        return await browser.post(self._actions[said], data={**self.fields, **self.buttons[said]})

    async def fill(self, browser: httpx.AsyncClient, label: str, text: str, button: str) -> httpx.Response:
        """Type into the field with this label and press this button."""
        self.fields[self.typed[label]] = text
        return await self.press(browser, button)
