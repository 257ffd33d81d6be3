from django.urls import path, register_converter

from scheduler.jobs import views
from scheduler.jobs.form import copying
from scheduler.jobs.form import views as form
from scheduler.jobs.orders import left_views as left
from scheduler.jobs.orders import views as orders
from scheduler.jobs.output import views as output
from scheduler.jobs.starts import views as starts


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
    path("new/", form.job_new, name="new"),
    path("new/preview/", form.job_preview, name="preview"),
    path("new/data-sets/", form.job_data_sets, name="data_sets"),
    path("new/starts/", starts.job_starts, name="starts"),
    path("new/save/", form.preset_save, name="preset_save"),
    path("presets/<slug:slug>/copy/", copying.preset_copy, name="preset_copy"),
    path("presets/<int:pk>/withdraw/", form.preset_withdraw, name="preset_withdraw"),
    path("card/", views.card, name="card"),
    path("left/card/", left.left_card, name="left_card"),
    path("left/<slug:name>/", left.left, name="left"),
    path("left/<slug:name>/free/", left.all_free, name="all_free"),
    path("project/<slug:slug>/card/", views.project_card, name="project_card"),
    path("project/<slug:slug>/shell/", views.project_shell, name="project_shell"),
    path("<uuid:pk>/", views.job, name="job"),
    path("<uuid:pk>/live/", views.job_live, name="live"),
    path("<uuid:pk>/log/", output.job_log, name="log"),
    path("<uuid:pk>/tunnel/", output.job_tunnel, name="tunnel"),
    path("<uuid:pk>/files/", output.job_files, name="files"),
    path("<uuid:pk>/files/fetch/", output.job_file_fetch, name="file_fetch"),
    path("<uuid:pk>/files/get/", output.job_file, name="file"),
    path("<uuid:pk>/usage/", output.job_usage, name="usage"),
    path("<uuid:pk>/cancel/", views.job_cancel, name="cancel"),
    path("<uuid:pk>/<verb:verb>/", orders.job_order, name="order"),
    path("<uuid:pk>/free/", left.job_free, name="free"),
    path("<uuid:pk>/extend/", orders.job_extend, name="extend"),
    path("<uuid:pk>/tasks/", orders.job_tasks, name="tasks"),
    path("<uuid:pk>/tasks/<int:task>/cancel/", orders.task_cancel, name="task_cancel"),
]
