from django.urls import path

from quotas.applications import views

app_name = "applications"
urlpatterns = [
    path("", views.application_list, name="list"),
    path("new/", views.submit, name="submit"),
    path("queue/", views.queue, name="queue"),
    path("card/", views.card, name="card"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("<int:pk>/propose/", views.propose, name="propose"),
    path("<int:pk>/decisions/<int:decision_pk>/confirm/", views.confirm, name="confirm"),
    path("<int:pk>/decisions/<int:decision_pk>/send-back/", views.send_back, name="send_back"),
]
