from django.urls import path

from quotas.reviews import views

app_name = "reviews"
urlpatterns = [
    path("queue/", views.queue, name="queue"),
    path("card/", views.card, name="card"),
    path("applications/<int:pk>/", views.application, name="application"),
    path("applications/<int:pk>/card/", views.application_card, name="application_card"),
    path("applications/<int:pk>/propose/", views.propose, name="propose"),
    path("applications/<int:pk>/decisions/<int:decision_pk>/confirm/", views.confirm, name="confirm"),
    path("applications/<int:pk>/decisions/<int:decision_pk>/send-back/", views.send_back, name="send_back"),
]
