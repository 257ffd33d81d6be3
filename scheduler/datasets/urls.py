from django.urls import path

from scheduler.datasets import views

app_name = "datasets"
urlpatterns = [
    path("", views.data_sets, name="list"),
    path("new/", views.new, name="new"),
    path("clusters/<slug:name>/", views.groups, name="groups"),
    path("clusters/<slug:name>/apply/", views.apply, name="apply"),
    path("<slug:slug>/", views.data_set, name="data_set"),
    path("<slug:slug>/edit/", views.edit, name="edit"),
    path("<slug:slug>/offer/", views.offer, name="offer"),
    path("<slug:slug>/withdraw/", views.withdraw, name="withdraw"),
]
