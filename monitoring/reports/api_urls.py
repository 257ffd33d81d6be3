from django.urls import path

from monitoring.reports import api

app_name = "reports_v1"
urlpatterns = [
    path("telemetry/organisations/<slug:slug>/", api.OrganisationTelemetry.as_view(), name="organisation"),
    path("telemetry/projects/<slug:slug>/", api.ProjectTelemetry.as_view(), name="project"),
    path("telemetry/nation/", api.NationTelemetry.as_view(), name="nation"),
]
