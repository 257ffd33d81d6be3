"""The page of one's tokens, and what the API says about itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.response import Response

from portal.api.endpoint import OPERATE, READ, SUBMIT, ApiRequest, Endpoint
from portal.api.forms import TokenForm
from portal.api.openapi import Told, description
from portal.api.selectors import token_get, tokens_of
from portal.api.services import TokenRefused, token_make, token_revoke
from portal.clock import now
from portal.web.requests import PersonRequest

ENDED_SHOWN = 20


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tokens(request: PersonRequest) -> HttpResponse:
    """One's tokens. POST makes one: the answer shows it, this once, and is kept nowhere."""
    form = TokenForm(request.POST if request.method == "POST" else None, person=request.user)
    made, secret = None, ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made, secret = token_make(
                person=request.user,
                name=data["name"],
                scopes=data["scopes"],
                life=timedelta(days=data["days"]),
                project=data["project"],
            )
        except TokenRefused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, str(refused.message))
        else:
            form = TokenForm(person=request.user)
    moment = now()
    rows = list(tokens_of(request.user))
    context = {
        "form": form,
        "made": made,
        "secret": secret,
        "live": [row for row in rows if row.is_live(moment)],
        "ended": [row for row in rows if not row.is_live(moment)][:ENDED_SHOWN],
        "address": request.build_absolute_uri("/api/v1/"),
    }
    return render(request, "api/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def revoke(request: PersonRequest, pk: int) -> HttpResponse:
    token = token_get(request.user, pk)
    token_revoke(token=token, actor=request.user)
    messages.success(request, _("“%(token)s” is revoked: it opens nothing any more.") % {"token": token})
    return redirect("api:tokens")


# --- the API itself -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenShape:
    name: str
    scopes: tuple[str, ...]
    project: str | None
    expires_at: datetime


@dataclass(frozen=True)
class Me:
    email: str
    full_name: str
    unix_account: str | None
    token: TokenShape


class Myself(Endpoint):
    """Whose token this is, what it may do and until when."""

    scopes = {"GET": {READ, SUBMIT, OPERATE}}
    told_get = Told(Me)

    def get(self, request: ApiRequest) -> Response:
        token, person = request.auth, request.user
        slug = token.project.slug if token.project else None
        shape = TokenShape(token.name, tuple(token.scopes), slug, token.expires_at)
        return Response(Me(person.email, person.full_name, person.unix_account, shape))


class Description(Endpoint):
    """This description, as OpenAPI 3.1."""

    scopes = {"GET": set()}
    is_public = True
    authentication_classes = permission_classes = throttle_classes = ()

    def get(self, request: ApiRequest) -> Response:
        return Response(description())
