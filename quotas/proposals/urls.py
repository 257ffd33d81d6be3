from django.urls import path

from quotas.proposals import views

app_name = "proposals"
urlpatterns = [
    path("", views.proposal_list, name="list"),
    path("history/", views.history, name="history"),
    path("card/", views.card, name="card"),
    path("interests/", views.conflicts, name="conflicts"),
    path("interests/<int:pk>/lift/", views.conflict_lift, name="conflict_lift"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/approve/", views.approve, name="approve"),
    path("<uuid:pk>/send-back/", views.send_back, name="send_back"),
]
