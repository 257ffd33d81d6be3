from django.urls import path

from quotas.allocations import api

app_name = "allocations_v1"
urlpatterns = [
    path("projects/", api.Projects.as_view(), name="projects"),
    path("projects/<slug:slug>/", api.OneProject.as_view(), name="project"),
    path("allocations/", api.Allocations.as_view(), name="allocations"),
]
