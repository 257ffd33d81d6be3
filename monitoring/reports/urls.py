from django.urls import path

from monitoring.reports import views

app_name = "reports"
urlpatterns = [
    path("", views.report_list, name="list"),
    path("cards/home/", views.home_card, name="home_card"),  # two parts: an organisation may be called "card"
    path("<slug:slug>/", views.organisation, name="organisation"),
    path("<slug:slug>/usage.csv", views.organisation_csv, name="organisation_csv"),
    path("<slug:slug>/card/", views.organisation_card, name="organisation_card"),
]
