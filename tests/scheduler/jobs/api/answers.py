"""What the API answers, read."""


def errors(response, status=422) -> list[dict]:
    assert response.status_code == status, response.content
    return response.json()["errors"]
