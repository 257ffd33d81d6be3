from django.urls import path

from quotas.allocations import views

app_name = "allocations"
urlpatterns = [
    path("", views.allocation_list, name="list"),
    path("card/", views.home_card, name="home_card"),
    path("projects/<slug:slug>/card/", views.project_card, name="project_card"),
    path("organisations/<slug:slug>/card/", views.organisation_card, name="organisation_card"),
    path("moves/<uuid:pk>/cancel/", views.move_cancel, name="move_cancel"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/transfers/", views.transfers, name="transfers"),
    path("<int:pk>/batches/<uuid:batch>/", views.batch, name="batch"),
    path("<int:pk>/suspend/", views.suspend, name="suspend"),
    path("<int:pk>/resume/", views.resume, name="resume"),
    path("<int:pk>/close/", views.close, name="close"),
    path("<int:pk>/adopt/", views.adopt, name="adopt"),
]
