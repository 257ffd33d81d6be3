from django.urls import path

from scheduler.jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="list"),
    path("new/", views.job_new, name="new"),
    path("new/preview/", views.job_preview, name="preview"),
    path("card/", views.card, name="card"),
    path("project/<slug:slug>/card/", views.project_card, name="project_card"),
    path("<uuid:pk>/", views.job, name="job"),
    path("<uuid:pk>/live/", views.job_live, name="live"),
    path("<uuid:pk>/cancel/", views.job_cancel, name="cancel"),
]
