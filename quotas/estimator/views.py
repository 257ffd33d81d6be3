from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe
from django_htmx.http import replace_url
from django_htmx.middleware import HtmxDetails

from portal.people.rules import manages_any
from portal.web.requests import PersonRequest
from quotas.estimator.errors import EstimateError
from quotas.estimator.forms import EstimateForm
from quotas.estimator.peaks import GPUS, PEAKS_VERSION, PRECISIONS
from quotas.estimator.services import Estimate, estimate
from quotas.estimator.shapes import MODELS
from quotas.estimator.tables import examples, figures, parts
from quotas.estimator.tariffs import tariff_for

BAD_INPUT = 422  # the page again, with the errors beside the fields, and no figures


class EstimatorRequest(PersonRequest):
    htmx: HtmxDetails


@require_safe
def page(request: EstimatorRequest) -> HttpResponse:
    """Public. The inputs are the address; htmx, as one types, gets the part of the page that changes."""
    form = EstimateForm(request.GET)
    found = _estimate(form)
    query = urlencode(form.canonical()) if found else ""
    context = {"estimate": found, "parts": parts(form, found), "query": query, **(figures(found) if found else {})}
    context["may_apply"] = found is not None and manages_any(request.user)
    if request.htmx and not request.htmx.history_restore_request:
        response = render(request, "estimator/live.html", context)
        if query:
            replace_url(response, f"{reverse('estimator:page')}?{query}")
    else:
        response = _page(request, form, context)
    patch_vary_headers(response, ["HX-Request"])  # both answers have one address
    return response


def _estimate(form: EstimateForm) -> Estimate | None:
    """None where the form or the service refused an input; the error then stands beside its field."""
    if not form.is_valid():
        return None
    inputs = form.inputs()
    try:
        return estimate(**inputs, tariff_vnd_per_gpu_hour=tariff_for(inputs["gpu_type"]))
    except EstimateError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return None


def _page(request: EstimatorRequest, form: EstimateForm, context: dict[str, Any]) -> HttpResponse:
    form.spell()
    context |= {
        "layout": "base.html" if request.user.is_authenticated else "plain.html",
        "form": form,
        "examples": examples(),
        "models": MODELS,
        "peaks": [(gpu, [gpu.peak_tflops(precision) for precision in PRECISIONS]) for gpu in GPUS.values()],
        "precisions": PRECISIONS,
        "peaks_version": PEAKS_VERSION,
    }
    return render(request, "estimator/page.html", context, status=200 if context["estimate"] else BAD_INPUT)
