"""An operator at the portal's own pages, who sees to what Slurm leaves to people after a daemon's death.

Slurm drains the node of a launch that failed and holds the job; both are on the cluster's page, each with its button.
"""

import re
from dataclasses import dataclass
from html import unescape
from http.client import HTTPException

from django.conf import settings
from django.test import Client

from portal.people.models import CentreRole
from tests.stack.browsing import Visitor

HELD, OUT, RESUME = "/jobs/left/local/", "/capacity/local/nodes-out/", "/capacity/local/nodes-out/resume/"
_RELEASES = re.compile(r'action="(/jobs/[0-9a-f-]{36}/free/)"')
_NODES = re.compile(r'name="node" value="([^"]*)"><input type="hidden" name="seen" value="([^"]*)"')


@dataclass
class Operator:
    visitor: Visitor
    released: int = 0
    resumed: int = 0

    @classmethod
    def of_stack(cls, url: str) -> "Operator":
        """Whoever is an operator in the stack's own database, with a session."""
        person = CentreRole.objects.filter(role=CentreRole.Role.OPERATOR).select_related("user")[0].user
        session = Client()
        session.force_login(person, backend=settings.AUTHENTICATION_BACKENDS[0])
        visitor = Visitor(url)
        visitor.cookies["sessionid"] = session.cookies["sessionid"].value
        return cls(visitor)

    def look(self) -> None:
        """Once over the pages: every node that may work again does, then every job that Slurm holds is released."""
        try:
            for node, seen in _NODES.findall(self.visitor.get(OUT)[1]):
                self.resumed += self._post(RESUME, {"node": unescape(node), "seen": unescape(seen)})
            for address in _RELEASES.findall(self.visitor.get(HELD)[1]):
                self.released += self._post(address, {})
        except (OSError, HTTPException):
            pass  # the portal was killed: the next look

    def _post(self, path: str, form: dict[str, str]) -> bool:
        return self.visitor.post(path, form)[0] == 302
