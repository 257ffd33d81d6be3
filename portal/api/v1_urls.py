from django.urls import path

from portal.api import views

app_name = "api_v1"
urlpatterns = [
    path("me/", views.Myself.as_view(), name="me"),
    path("openapi.json", views.Description.as_view(), name="openapi"),
]
