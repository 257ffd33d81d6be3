from django.urls import path

from monitoring.reports import throughput_views
from monitoring.reports.nation import views

app_name = "nation"
urlpatterns = [
    path("", views.public, name="public"),
    path("whole/", throughput_views.nation, name="whole"),
    path("whole/figures.<str:format>", throughput_views.nation_file, name="whole_file"),
    path("<str:quarter>.<str:format>", views.public_file, name="public_file"),
]
