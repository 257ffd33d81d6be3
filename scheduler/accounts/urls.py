from django.urls import path

from scheduler.accounts import views

app_name = "accounts"
urlpatterns = [
    path("", views.clusters, name="clusters"),
    path("card/", views.card, name="card"),
    path("<slug:name>/", views.cluster, name="cluster"),
    path("<slug:name>/live/", views.cluster_live, name="cluster_live"),
    path("<slug:name>/apply/", views.apply, name="apply"),
    path("<slug:name>/repair/", views.repair, name="repair"),
]
