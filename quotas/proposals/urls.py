from django.urls import path

from quotas.proposals import views

app_name = "proposals"
urlpatterns = [
    path("<uuid:pk>/", views.detail, name="detail"),
]
