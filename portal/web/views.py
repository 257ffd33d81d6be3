import hmac

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from portal.people.models import User
from portal.people.selectors import organisations_visible
from portal.people.services import language_set
from portal.web import health, metrics
from portal.web.registry import home_cards

LANGUAGE_COOKIE_AGE_S = 365 * 86_400


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Strangers get the landing page; a person gets the cards that the apps offer to his or her roles."""
    if not request.user.is_authenticated:
        return render(request, "web/landing.html", {"contact_email": settings.CONTACT_EMAIL})
    cards = home_cards.place(request.user)
    belongs = organisations_visible(request.user).exists()
    return render(request, "web/home.html", {"cards": cards, "belongs": belongs})


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Keeps the chosen language in a cookie and, for a logged-in person, in the profile."""
    chosen = request.POST.get("language", "")
    if chosen not in dict(settings.LANGUAGES):
        raise Http404
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    if isinstance(request.user, User):
        language_set(user=request.user, language=chosen)
    response = HttpResponseRedirect(target)
    language_cookie_set(response, chosen)
    return response


def language_cookie_set(response: HttpResponse, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=LANGUAGE_COOKIE_AGE_S,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
    )


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 where every part answers, else 503; which part and what kind of trouble, nothing more."""
    checks = health.checks()
    ok = all(check.ok for check in checks.values())
    body = {
        "status": "ok" if ok else "failing",
        "checks": {
            name: {"ok": check.ok} | ({"note": check.note} if check.note else {}) for name, check in checks.items()
        },
    }
    return JsonResponse(body, status=200 if ok else 503)


@never_cache
@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """For Prometheus, which carries METRICS_TOKEN; without a token in the settings the page does not exist."""
    if not settings.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(metrics.render(), content_type="text/plain; version=0.0.4; charset=utf-8")


# --- errors -------------------------------------------------------------------------------------------------------


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(
        request,
        404,
        _("This page does not exist"),
        _("Or it is not yours to see: the portal does not tell which. The address may have a typing mistake."),
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 403, _("This is not allowed"), _("Your account has no right to do this."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _error(
        request,
        403,
        _("The form is too old"),
        _("It was opened before you logged in or out, or cookies are blocked. Load the page anew and send it again."),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Uses neither the database nor the session: they may be what failed."""
    context = {
        "code": 500,
        "title": _("Something broke on our side"),
        "text": _("It was written to the log. Nothing was charged by this. Try again in a minute."),
    }
    return HttpResponse(render_to_string("web/error.html", context), status=500)


def _error(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    return render(request, "web/error.html", {"code": status, "title": title, "text": text}, status=status)
