from django.urls import path

from monitoring.reports import throughput_views, views

app_name = "reports"
urlpatterns = [
    path("", views.report_list, name="list"),
    path("cards/home/", views.home_card, name="home_card"),  # two parts: an organisation may be called "card"
    path("<slug:slug>/", views.organisation, name="organisation"),
    path("<slug:slug>/usage.csv", views.organisation_csv, name="organisation_csv"),
    path("<slug:slug>/throughput/", throughput_views.throughput, name="throughput"),
    path("<slug:slug>/throughput.csv", throughput_views.throughput_csv, name="throughput_csv"),
    path("<slug:slug>/card/", views.organisation_card, name="organisation_card"),
]
