from django.urls import path

from scheduler.accounts import keeping_views, rules_views, views

app_name = "accounts"
urlpatterns = [
    path("", views.clusters, name="clusters"),
    path("card/", views.card, name="card"),
    path("new/", keeping_views.cluster_new, name="cluster_new"),
    path("<slug:name>/", views.cluster, name="cluster"),
    path("<slug:name>/edit/", keeping_views.cluster_edit, name="cluster_edit"),
    path("<slug:name>/retire/", keeping_views.cluster_retire, name="cluster_retire"),
    path("<slug:name>/reinstate/", keeping_views.cluster_reinstate, name="cluster_reinstate"),
    path("<slug:name>/switch-off/", keeping_views.cluster_switch_off, name="cluster_switch_off"),
    path("<slug:name>/rules/", rules_views.cluster_rules, name="rules"),
    path("<slug:name>/rules/slices/", rules_views.slice_add, name="slice_add"),
    path("<slug:name>/rules/slices/<str:gpu_type>/forget/", rules_views.slice_forget, name="slice_forget"),
    path("<slug:name>/rules/<slug:kind>/", rules_views.rule_edit, name="rule_edit"),
    path("<slug:name>/rules/<slug:kind>/drop/", rules_views.rule_drop, name="rule_drop"),
    path("<slug:name>/live/", views.cluster_live, name="cluster_live"),
    path("<slug:name>/apply/", views.apply, name="apply"),
    path("<slug:name>/repair/", views.repair, name="repair"),
]
