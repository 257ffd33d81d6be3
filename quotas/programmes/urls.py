from django.urls import path

from quotas.programmes.views import editors, public, running

app_name = "programmes"
urlpatterns = [
    path("", public.programme_list, name="list"),
    path("new/", running.programme_new, name="new"),
    path("tariffs/", public.tariffs, name="tariffs"),
    path("tariffs/new/", running.tariff_new, name="tariff_new"),
    path("calls/<slug:slug>/", public.call, name="call"),
    path("calls/<slug:slug>/edit/", running.call_edit, name="call_edit"),
    path("calls/<slug:slug>/questions/", editors.questions, name="questions"),
    path("calls/<slug:slug>/criteria/", editors.criteria, name="criteria"),
    path("<slug:slug>/", public.programme, name="programme"),
    path("<slug:slug>/edit/", running.programme_edit, name="edit"),
    path("<slug:slug>/rules/", running.programme_rules, name="rules"),
    path("<slug:slug>/budget/", running.budget, name="budget"),
    path("<slug:slug>/calls/new/", running.call_new, name="call_new"),
]
