from tests.urls.roles import Row

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}

ROWS = [
    Row("audit:events", 404, **READERS),
    Row("audit:events", 404, query="?model=people.user&number=1&label=changed&since=2026-01-01", **READERS),
]
