"""Mounts each app's urls by name, so that portal imports none of the other packages."""

from django.urls import include, path

urlpatterns = [
    path("accounts/", include("portal.people.account_urls")),
    path("", include("portal.web.urls")),
    path("", include("portal.people.urls")),
    path("profile/tokens/", include("portal.api.urls")),
    path("api/v1/", include("portal.api.v1_urls")),
    path("api/v1/", include("quotas.allocations.api_urls")),
    path("api/v1/", include("scheduler.jobs.api.urls")),
    path("api/v1/", include("monitoring.reports.api_urls")),
    path("audit/", include("portal.audit.urls")),
    path("proposals/", include("quotas.proposals.urls")),
    path("estimator/", include("quotas.estimator.urls")),
    path("programmes/", include("quotas.programmes.urls")),
    path("applications/", include("quotas.applications.urls")),
    path("reviews/", include("quotas.reviews.urls")),
    path("allocations/", include("quotas.allocations.urls")),
    path("", include("quotas.allocations.voucher_urls")),
    path("statements/", include("quotas.statements.urls")),
    path("capacity/", include("scheduler.clusters.urls")),
    path("clusters/", include("scheduler.accounts.urls")),
    path("data-sets/", include("scheduler.datasets.urls")),
    path("jobs/", include("scheduler.jobs.urls")),
    path("presets/", include("scheduler.jobs.library.urls")),
    path("settlement/", include("scheduler.settlement.urls")),
    path("gpus/", include("monitoring.gpus.urls")),
    path("reports/", include("monitoring.reports.urls")),
    path("watching/", include("monitoring.watching.urls")),
    path("nation/", include("monitoring.reports.nation.urls")),
]
handler400 = "portal.api.errors.bad_request"
handler403 = "portal.web.views.forbidden"
handler404 = "portal.api.errors.not_found"
handler500 = "portal.api.errors.server_error"
