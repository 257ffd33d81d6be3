from django.urls import path

from quotas.applications.views import reading, writing

app_name = "applications"
urlpatterns = [
    path("", reading.application_list, name="list"),
    path("new/", writing.begin, name="begin"),
    path("card/", reading.card, name="card"),
    path("<int:pk>/", reading.detail, name="detail"),
    path("<int:pk>/withdraw/", reading.withdraw, name="withdraw"),
    path("<int:pk>/return/", reading.give_back, name="return"),
    path("<int:pk>/attachments/<int:attachment_pk>/", reading.attachment, name="attachment"),
    path("<int:pk>/edit/<slug:slug>/", writing.section, name="section"),
    path("<int:pk>/fields/<str:key>/", writing.field, name="field"),
    path("<int:pk>/submit/", writing.submit, name="submit"),
    path("<int:pk>/take-over/", writing.take_over, name="take_over"),
    path("<int:pk>/questions/", writing.adopt, name="adopt"),
    path("<int:pk>/comments/<int:comment_pk>/", writing.resolve, name="resolve"),
    path("<int:pk>/attachments/", writing.attach, name="attach"),
    path("<int:pk>/attachments/<int:attachment_pk>/remove/", writing.attachment_remove, name="attachment_remove"),
    path("<int:pk>/files/<str:key>/", writing.answer_file, name="answer_file"),
    path("<int:pk>/writers/", writing.writer_add, name="writer_add"),
    path("<int:pk>/writers/<int:user_pk>/remove/", writing.writer_remove, name="writer_remove"),
]
