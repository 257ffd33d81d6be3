from django.urls import path

from scheduler.settlement import views

app_name = "settlement"
urlpatterns = [
    path("", views.reconciliation, name="reconciliation"),
    path("<int:pk>/keep/", views.keep, name="keep"),
]
