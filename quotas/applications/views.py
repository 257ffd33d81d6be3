from django.http import HttpRequest, HttpResponse


def application_list(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


submit = queue = application_list


def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse()


withdraw = propose = detail


def confirm(request: HttpRequest, pk: int, decision_pk: int) -> HttpResponse:
    return HttpResponse()


send_back = confirm
