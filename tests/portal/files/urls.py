"""Two pages as an app would have them: one file that sends itself, and the same field among others."""

from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template import engines
from django.urls import path, reverse

from portal.files.errors import FilesError
from portal.files.forms import FileWidget, PdfField
from portal.files.models import StoredFile
from portal.files.responses import file_response
from portal.files.services import file_store
from portal.urls import handler403, handler404, handler500
from portal.urls import urlpatterns as portal_urls
from portal.web.requests import PersonRequest

PART = '{% include "components/file.html" with form=form field=form.report action=request.path id="report-file" %}'
HEAD = '{% extends "base.html" %}{% block title %}Báo cáo{% endblock %}{% block heading %}Báo cáo{% endblock %}'
PAGE = (
    HEAD + '{% block content %}<section class="card"><div class="card-body">' + PART + "</div></section>{% endblock %}"
)
FORM = HEAD + (
    '{% block content %}<form class="card" method="post" enctype="multipart/form-data" novalidate>{% csrf_token %}'
    '<div class="card-body">{{ form }}<button type="submit" class="btn btn-primary">Lưu</button></div></form>'
    "{% endblock %}"
)


class OneFile(forms.Form):
    report = PdfField(label="Báo cáo cuối kỳ", required=False)


class AmongOthers(forms.Form):
    title = forms.CharField(label="Tên")
    report = PdfField(label="Báo cáo cuối kỳ", required=False, limit_bytes=1024 * 1024)


def current(request: PersonRequest) -> StoredFile | None:
    """The last file of the person stands for what an app's own row refers to."""
    return StoredFile.objects.filter(uploaded_by=request.user).order_by("-created_at").first()


def handled(request: PersonRequest, form_class: type[forms.Form], template: str) -> HttpResponse:
    stored = current(request)
    status = 200
    form = form_class(request.POST or None, request.FILES or None, initial={"report": stored})
    if request.method == "POST":
        status = 422
        if form.is_valid():
            report = form.cleaned_data["report"]
            try:
                if report is False and stored:
                    stored.delete()
                elif report and report != stored:
                    file_store(upload=report, person=request.user)
            except FilesError as error:
                form.add_error("report", str(error))
            else:
                form, status = form_class(initial={"report": current(request), "title": "x"}), 200
    widget = form.fields["report"].widget
    assert isinstance(widget, FileWidget)
    widget.url = reverse("download", args=[form.initial["report"].pk]) if form.initial["report"] else ""
    widget.removes_at_once = form_class is OneFile
    return HttpResponse(engines["django"].from_string(template).render({"form": form}, request), status=status)


@login_required
def one(request: PersonRequest) -> HttpResponse:
    return handled(request, OneFile, PART if request.headers.get("HX-Request") else PAGE)


@login_required
def among_others(request: PersonRequest) -> HttpResponse:
    return handled(request, AmongOthers, FORM)


@login_required
def download(request: HttpRequest, pk: UUID) -> HttpResponse:
    return file_response(get_object_or_404(StoredFile, pk=pk, uploaded_by=request.user))  # type: ignore[return-value]


urlpatterns = [
    *portal_urls,
    path("one/", one, name="one"),
    path("among-others/", among_others, name="among_others"),
    path("download/<uuid:pk>/", download, name="download"),
]
__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]
