from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from portal.api.models import Token
from portal.api.services import FORM, digest_of
from portal.people.models import User


def tokens_of(person: User) -> QuerySet[Token]:
    """The person's own, the newest first. Nobody else sees them, whatever their role."""
    return Token.objects.filter(user=person).select_related("project")


def token_get(person: User, pk: int) -> Token:
    """Raises Http404 for one of another person."""
    return get_object_or_404(tokens_of(person), pk=pk)


def token_known(secret: str) -> Token | None:
    """The row of a token that somebody sent, with its person, however old it is."""
    if not FORM.fullmatch(secret):
        return None
    return Token.objects.select_related("user", "project").filter(digest=digest_of(secret)).first()
