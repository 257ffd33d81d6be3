from django.urls import path, register_converter

from scheduler.jobs.api import beginnings, jobs, one, tasks
from scheduler.jobs.urls import VerbConverter

register_converter(VerbConverter, "job_verb")

app_name = "jobs_v1"
urlpatterns = [
    path("presets/", beginnings.Presets.as_view(), name="presets"),
    path("data-sets/", beginnings.DataSets.as_view(), name="data_sets"),
    path("jobs/", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/estimate/", jobs.JobEstimate.as_view(), name="estimate"),
    path("jobs/<uuid:pk>/", one.OneJob.as_view(), name="job"),
    path("jobs/<uuid:pk>/log/", one.JobLog.as_view(), name="log"),
    path("jobs/<uuid:pk>/files/", one.JobFiles.as_view(), name="files"),
    path("jobs/<uuid:pk>/files/get/", one.JobFile.as_view(), name="file"),
    path("jobs/<uuid:pk>/tasks/", tasks.Tasks.as_view(), name="tasks"),
    path("jobs/<uuid:pk>/tasks/<int:task>/", tasks.OneTask.as_view(), name="task"),
    path("jobs/<uuid:pk>/tasks/<int:task>/log/", tasks.TaskLog.as_view(), name="task_log"),
    path("jobs/<uuid:pk>/tasks/<int:task>/cancel/", tasks.TaskCancel.as_view(), name="task_cancel"),
    path("jobs/<uuid:pk>/cancel/", one.JobCancel.as_view(), name="cancel"),
    path("jobs/<uuid:pk>/extend/", one.JobExtend.as_view(), name="extend"),
    path("jobs/<uuid:pk>/<job_verb:verb>/", one.JobOrder.as_view(), name="order"),
]
