from django.urls import path

from quotas.allocations import voucher_views as views

app_name = "vouchers"
urlpatterns = [
    path("vouchers/", views.voucher_list, name="list"),
    path("vouchers/organisations/<slug:slug>/card/", views.organisation_card, name="organisation_card"),
    path("vouchers/<slug:number>/", views.voucher, name="voucher"),
    path("vouchers/<slug:number>/<slug:name>/", views.verb, name="verb"),
    path("results/", views.results, name="results"),
    path("results/<slug:number>/", views.result, name="result"),
]
