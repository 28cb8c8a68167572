"""A sign-in page, read as a person without JavaScript has it."""

import html.parser

import httpx


class Page(html.parser.HTMLParser):
    """A page as its user has it: its heading, its text, its one form and what can be pressed or chosen."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        self.status = response.status_code
        self.action = ""
        self.fields: dict[str, str] = {}
        self.buttons: dict[str, dict[str, str]] = {}
        self.radios: dict[str, str] = {}
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._inside: list[str] = []
        self._pressed: dict[str, str] = {}
        self._label = ""
        self.heading = ""
        self.text = ""
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self._inside.append(tag)
        match tag:
            case "form":
                self.action = have["action"]
            case "input" if have["type"] == "hidden":
                self.fields[have["name"]] = have["value"]
            case "input" if "checked" in have:
                self.fields[have["name"]] = have["value"]
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

    async def press(self, browser: httpx.AsyncClient, label: str) -> httpx.Response:
        """Press the button that says this, or begins with it."""
        [pressed] = [value for text, value in self.buttons.items() if text.startswith(label)]
        return await browser.post(self.action, data={**self.fields, **pressed})
