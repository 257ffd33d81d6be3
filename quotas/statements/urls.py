from django.urls import path

from quotas.statements import views

app_name = "statements"
urlpatterns = [
    path("", views.statement_list, name="list"),
    path("organisations/<slug:slug>/", views.organisation, name="organisation"),
    path("organisations/<slug:slug>/card/", views.organisation_card, name="organisation_card"),
    path("months/<str:month>/", views.month, name="month"),
    path("months/<str:month>/progress/", views.month_progress, name="month_progress"),
    path("months/<str:month>/issue/", views.month_issue, name="month_issue"),
    path("<slug:number>/", views.statement, name="statement"),
    path("<slug:number>/correct/", views.correct, name="correct"),
    path("<slug:number>/<str:language>.<str:format>", views.download, name="download"),
]
