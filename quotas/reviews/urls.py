from django.urls import path

from quotas.reviews.views import calls, decisions, reviewer

app_name = "reviews"
urlpatterns = [
    # A reviewer's own.
    path("", reviewer.review_list, name="list"),
    path("mine/card/", reviewer.reviewer_card, name="reviewer_card"),
    path("mine/<int:pk>/", reviewer.review, name="review"),
    path("mine/<int:pk>/accept/", reviewer.accept, name="accept"),
    path("mine/<int:pk>/declare/", reviewer.declare, name="declare"),
    path("mine/<int:pk>/save/", reviewer.save, name="save"),
    path("mine/<int:pk>/submit/", reviewer.submit, name="submit"),
    path("people/<int:pk>/", reviewer.expertise, name="expertise"),
    # A call's.
    path("calls/", calls.calls, name="calls"),
    path("calls/<slug:slug>/", calls.ranking, name="ranking"),
    path("calls/<slug:slug>/reviewers/", calls.matrix, name="matrix"),
    path("calls/<slug:slug>/reviewers/add/", calls.reviewer_add, name="reviewer_add"),
    path("calls/<slug:slug>/reviewers/match/", calls.match, name="match"),
    path("calls/<slug:slug>/reviewers/assign/", calls.assign, name="assign"),
    path("calls/<slug:slug>/reviewers/<int:pk>/leave/", calls.reviewer_leave, name="reviewer_leave"),
    path("calls/<slug:slug>/reviews/<int:pk>/take-back/", calls.unassign, name="unassign"),
    # Decisions.
    path("queue/", decisions.queue, name="queue"),
    path("card/", decisions.card, name="card"),
    path("applications/<int:pk>/", decisions.application, name="application"),
    path("applications/<int:pk>/card/", decisions.application_card, name="application_card"),
    path("applications/<int:pk>/budget/", decisions.budget_after, name="budget_after"),
    path("applications/<int:pk>/conflict/", decisions.conflict_name, name="conflict_name"),
    path("applications/<int:pk>/propose/", decisions.propose, name="propose"),
    path("applications/<int:pk>/decisions/<int:decision_pk>/confirm/", decisions.confirm, name="confirm"),
    path("applications/<int:pk>/decisions/<int:decision_pk>/send-back/", decisions.send_back, name="send_back"),
]
