from tests.urls.roles import Row

ROWS = [
    Row("settlement:reconciliation", 404, operator=200, second_operator=200, approver=200, auditor=200),
]
