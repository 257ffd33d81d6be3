from django.urls import path

from scheduler.clusters import views

app_name = "clusters"
urlpatterns = [
    path("", views.capacities, name="capacities"),
    path("nodes-out/", views.nodes_out_card, name="nodes_out_card"),
    path("projects/<slug:slug>/reservations/", views.project_reservations, name="project_reservations"),
    path("<slug:name>/", views.capacity, name="capacity"),
    path("<slug:name>/live/", views.capacity_live, name="capacity_live"),
    path("<slug:name>/nodes-out/", views.cluster_nodes_out, name="nodes_out"),
    path("<slug:name>/nodes-out/resume/", views.node_resume, name="node_resume"),
]
