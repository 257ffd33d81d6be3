from django.urls import path, register_converter

from scheduler.jobs import views, views_form, views_output, views_verbs


class VerbConverter:
    """What is asked of a whole job, in an address."""

    regex = "hold|release|requeue"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(VerbConverter, "verb")

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="list"),
    path("new/", views_form.job_new, name="new"),
    path("new/preview/", views_form.job_preview, name="preview"),
    path("new/save/", views_form.preset_save, name="preset_save"),
    path("presets/<int:pk>/withdraw/", views_form.preset_withdraw, name="preset_withdraw"),
    path("card/", views.card, name="card"),
    path("project/<slug:slug>/card/", views.project_card, name="project_card"),
    path("project/<slug:slug>/shell/", views.project_shell, name="project_shell"),
    path("<uuid:pk>/", views.job, name="job"),
    path("<uuid:pk>/live/", views.job_live, name="live"),
    path("<uuid:pk>/log/", views_output.job_log, name="log"),
    path("<uuid:pk>/files/", views_output.job_files, name="files"),
    path("<uuid:pk>/files/fetch/", views_output.job_file_fetch, name="file_fetch"),
    path("<uuid:pk>/files/get/", views_output.job_file, name="file"),
    path("<uuid:pk>/usage/", views_output.job_usage, name="usage"),
    path("<uuid:pk>/cancel/", views.job_cancel, name="cancel"),
    path("<uuid:pk>/<verb:verb>/", views_verbs.job_order, name="order"),
    path("<uuid:pk>/extend/", views_verbs.job_extend, name="extend"),
    path("<uuid:pk>/tasks/", views_verbs.job_tasks, name="tasks"),
    path("<uuid:pk>/tasks/<int:task>/cancel/", views_verbs.task_cancel, name="task_cancel"),
]
