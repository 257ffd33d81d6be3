from tests.urls.roles import Row

ROWS = [
    Row("web:home", 200, anonymous=200),
    Row("web:language", 302, post={"language": "en", "next": "/"}, anonymous=302),
    Row("web:language", 405, anonymous=405),
    Row("web:healthz", 503, anonymous=503),  # no worker has answered in the tests
    Row("web:metrics", 401, anonymous=401),  # Prometheus carries a token, people do not
]
