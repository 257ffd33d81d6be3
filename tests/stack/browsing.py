"""A person without a browser: logs in, fills in the page's own form and sends it. Standard library only."""

import re
import time
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 30
IDLE_S = 1.0  # gunicorn keeps an idle connection for two


class Fields(HTMLParser):
    """The named fields of a page's POST form that goes to an address, as a browser would send them untouched."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.options: dict[str, list[str]] = {}  # of each select, in the page's order
        self._action = action
        self._inside = False
        self._text: str | None = None
        self._select: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in pairs}
        if tag == "form":
            self._inside = attributes.get("method", "").lower() == "post" and attributes.get("action", "") in (
                "",
                self._action,
            )
            return
        name = attributes.get("name", "")
        if not self._inside or (not name and tag != "option"):
            return
        if tag == "input" and attributes.get("type") not in ("submit", "button"):
            if attributes.get("type") not in ("checkbox", "radio") or "checked" in attributes:
                self.values[name] = attributes.get("value", "")
        elif tag == "textarea":
            self._text, self.values[name] = name, ""
        elif tag == "select":
            self._select = None if "multiple" in attributes else name  # of several, a browser chooses none by itself
        elif tag == "option" and self._select:
            self.options.setdefault(self._select, []).append(attributes.get("value", ""))
            if "selected" in attributes or self._select not in self.values:
                self.values[self._select] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea" and self._text:
            # HTML: a newline directly after the tag is not part of the text.
            self.values[self._text] = self.values[self._text].removeprefix("\n")
            self._text = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._text:
            self.values[self._text] += data


class Visitor:
    """One session. `keep_alive` leaves its connection open between requests, for measurements."""

    def __init__(self, url: str, *, keep_alive: bool = False) -> None:
        self._keep_alive = keep_alive
        self._host = urlsplit(url).netloc
        self._connection = HTTPConnection(self._host, timeout=TIMEOUT_S)
        self.cookies: dict[str, str] = {}
        self.location = ""
        self._used_s = 0.0

    def get(self, path: str) -> tuple[int, str]:
        return self._send("GET", path)

    def post(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        body = urlencode({"csrfmiddlewaretoken": self.cookies.get("csrftoken", "")} | fields)
        return self._send("POST", path, body)

    def fill_in(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        """Open a page and send its form with these fields changed."""
        status, page = self.get(path)
        assert status == 200, f"{path} answers {status}"
        return self.post(path, Fields(page, path).values | fields)

    def log_in(self, email: str, password: str) -> None:
        status, _ = self.fill_in("/accounts/login/", {"login": email, "password": password})
        assert status == 302, f"{email} cannot log in"

    def close(self) -> None:
        self._connection.close()

    def _send(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://{self._host}{path}"}
        if time.monotonic() - self._used_s > IDLE_S:
            self._connection.close()  # the server may have closed an idle one; the next request opens another
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            page = self._read(response)
        finally:
            if not self._keep_alive:
                self._connection.close()
        self._used_s = time.monotonic()
        return response.status, page

    def _read(self, response: HTTPResponse) -> str:
        page = response.read().decode()
        for line in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        self.location = re.sub(r"^https?://[^/]+", "", response.headers.get("Location", ""))
        return page
