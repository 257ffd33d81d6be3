from django.urls import path

from scheduler.clusters import views

app_name = "clusters"
urlpatterns = [
    path("", views.capacities, name="capacities"),
    path("<slug:name>/", views.capacity, name="capacity"),
    path("<slug:name>/live/", views.capacity_live, name="capacity_live"),
]
