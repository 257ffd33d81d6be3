from django.urls import path

from scheduler.settlement import views

app_name = "settlement"
urlpatterns = [path("", views.reconciliation, name="reconciliation")]
