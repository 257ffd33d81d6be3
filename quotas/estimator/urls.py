from django.urls import path

from quotas.estimator import views

app_name = "estimator"
urlpatterns = [path("", views.page, name="page")]
