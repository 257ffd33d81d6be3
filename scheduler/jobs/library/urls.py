from django.urls import path

from scheduler.jobs.library import editing, views

app_name = "library"
urlpatterns = [
    path("", views.preset_list, name="list"),
    path("new/", editing.new, name="new"),
    path("import/", editing.import_files, name="import"),
    path("check/", editing.check, name="check"),
    path("<slug:slug>/", views.preset, name="preset"),
    path("<slug:slug>/edit/", editing.edit, name="edit"),
    path("<slug:slug>/compare/", views.compare, name="compare"),
    path("<slug:slug>/withdraw/", views.withdraw, name="withdraw"),
    path("<slug:slug>/<int:number>/", views.edition, name="edition"),
    path("<slug:slug>/<int:number>/offer/", views.offer, name="offer"),
    path("<slug:slug>/<int:number>/definition/", views.definition_file, name="definition"),
    path("<slug:slug>/<int:number>/script/", views.script_file, name="script"),
]
