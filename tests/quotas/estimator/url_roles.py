from tests.urls.roles import Row

ROWS = [
    Row("estimator:page", 200, anonymous=200),
    Row("estimator:page", 200, query="?model=deepseek-v3&tokens=1e12", anonymous=200),
    Row("estimator:page", 422, query="?tokens=nan", anonymous=422),
]
