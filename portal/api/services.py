"""Making and revoking tokens."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.api.models import LONGEST, Token
from portal.audit.context import acting
from portal.clock import now
from portal.outbox.services import message_write
from portal.people.errors import PeopleError
from portal.people.models import Project, User
from portal.people.selectors import projects_visible

PREFIX = "saola_"  # so that a token is recognised where it should not be: in a repository, in a log
SECRET_BYTES = 32
FORM = re.compile(r"saola_[A-Za-z0-9_-]{43}")
HINT_LENGTH = len(PREFIX) + 4
MOST_LIVE = 20  # of one person: beyond that somebody's program makes them
USED_STEP = timedelta(minutes=5)
# Of tokens that live longer than this, the end is told so long before.
WARNINGS = ((timedelta(days=14), timedelta(days=7)), (timedelta(days=2), timedelta(days=1)))


class TokenRefused(PeopleError):
    """Nothing was made."""


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token_make(
    *, person: User, name: str, scopes: Iterable[str], life: timedelta, project: Project | None = None
) -> tuple[Token, str]:
    """The row, and the token itself: the only time that anybody sees it. Raises TokenRefused."""
    name, wanted = " ".join(name.split()), sorted(set(scopes))
    if not name or not name.isprintable():
        raise TokenRefused(_("Give the token a name, so that you know it again."), field="name")
    if not wanted or set(wanted) - set(Token.Scope.values):
        raise TokenRefused(_("Choose what it may do."), field="scopes")
    if not timedelta(0) < life <= LONGEST:
        raise TokenRefused(_("A token lives for a year at most."), field="days")
    if project is not None and not projects_visible(person).filter(pk=project.pk).exists():
        raise TokenRefused(_("Choose one of your projects."), field="project")
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    moment = now()
    with transaction.atomic(), acting(person, "token_make"):
        User.objects.select_for_update(no_key=True).get(pk=person.pk)  # two windows do not count past each other
        if Token.objects.filter(user=person, revoked_at=None, expires_at__gt=moment).count() >= MOST_LIVE:
            raise TokenRefused(_("You have too many tokens. Revoke those that you do not use any more."))
        token = Token.objects.create(
            user=person,
            name=name,
            digest=digest_of(secret),
            hint=secret[:HINT_LENGTH],
            scopes=wanted,
            project=project,
            created_at=moment,
            expires_at=moment + life,
        )
        message_write(topic="api.token_made", key=str(token.pk), payload={"token": token.pk})
        before = next((before for least, before in WARNINGS if life > least), None)
        if before is not None:
            message_write(
                topic="api.token_ending",
                key=str(token.pk),
                payload={"token": token.pk},
                due_at=token.expires_at - before,
            )
    return token, secret


def token_revoke(*, token: Token, actor: User) -> None:
    """From now on it opens nothing. A second time changes nothing."""
    with transaction.atomic(), acting(actor, "token_revoke"):
        Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now())


def token_used(token: Token) -> None:
    """Keeps when it was used last, in steps: a token that is used all the time costs no writing."""
    moment = now()
    if token.last_used_at is None or token.last_used_at < moment - USED_STEP:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=moment - USED_STEP)
        Token.objects.filter(stale, pk=token.pk).update(last_used_at=moment)
