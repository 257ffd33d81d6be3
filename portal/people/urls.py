from django.urls import path

from portal.people import views

app_name = "people"
urlpatterns = [
    path("organisations/", views.organisations, name="organisations"),
    path("organisations/<slug:slug>/", views.organisation, name="organisation"),
    path("organisations/<slug:slug>/members/add/", views.organisation_member_add, name="organisation_member_add"),
    path(
        "organisations/<slug:slug>/members/remove/", views.organisation_member_remove, name="organisation_member_remove"
    ),
    path("projects/<slug:slug>/", views.project, name="project"),
    path("projects/<slug:slug>/members/add/", views.project_member_add, name="project_member_add"),
    path("projects/<slug:slug>/members/remove/", views.project_member_remove, name="project_member_remove"),
    path("people/", views.people, name="people"),
    path("people/<int:pk>/", views.person, name="person"),
    path("people/projects-card/", views.projects_card, name="projects_card"),
]
