from django.urls import path

from monitoring.watching import views

app_name = "watching"
urlpatterns = [
    path("", views.finding_list, name="list"),
    path("card/", views.card, name="card"),
    path("mine/", views.mine, name="mine"),
    path("measuring/", views.measuring, name="measuring"),
    path("rules/", views.rules, name="rules"),
    path("rules/set/", views.rule_set, name="rule_set"),
    path("jobs/<uuid:pk>/", views.job, name="job"),
    path("<int:pk>/", views.finding, name="finding"),
    path("<int:pk>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("<int:pk>/drain/", views.drain, name="drain"),
]
