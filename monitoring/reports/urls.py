from django.urls import path

from monitoring.reports import factors_views, throughput_views, views

app_name = "reports"
urlpatterns = [
    path("", views.report_list, name="list"),
    # An organisation may be called "cards", "projects" or "energy": none of its own addresses looks like these.
    path("cards/home/", views.home_card, name="home_card"),
    path("cards/projects/<slug:slug>/", throughput_views.project_card, name="project_card"),
    path("energy/factors/", factors_views.factors, name="factors"),
    path("energy/factors/enter/", factors_views.factor_enter, name="factor_enter"),
    path("projects/<slug:slug>/throughput/", throughput_views.project, name="project"),
    path("projects/<slug:slug>/throughput.<str:format>", throughput_views.project_file, name="project_file"),
    path("projects/<slug:slug>/jobs/", throughput_views.project_jobs, name="project_jobs"),
    path("<slug:slug>/", views.organisation, name="organisation"),
    path("<slug:slug>/usage.<str:format>", views.organisation_file, name="organisation_file"),
    path("<slug:slug>/throughput/", throughput_views.throughput, name="throughput"),
    path("<slug:slug>/throughput.<str:format>", throughput_views.throughput_file, name="throughput_file"),
    path("<slug:slug>/card/", views.organisation_card, name="organisation_card"),
]
