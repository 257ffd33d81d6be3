from django.urls import path

from monitoring.gpus import views

app_name = "gpus"
urlpatterns = [path("jobs/<uuid:pk>/", views.job, name="job")]
