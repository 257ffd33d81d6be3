from tests.urls.roles import Row

ROWS = [Row("programmes:list", 200)]
