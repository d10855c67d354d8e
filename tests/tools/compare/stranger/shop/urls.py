"""How many customers there are, and a new one."""

import json

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def customers(request: HttpRequest) -> JsonResponse:
    if request.method == "POST":
        customer = User.objects.create(username=json.loads(request.body)["name"])
        return JsonResponse({"id": customer.pk}, status=201)
    return JsonResponse({"customers": User.objects.count()})


urlpatterns = [path("customers", customers)]
