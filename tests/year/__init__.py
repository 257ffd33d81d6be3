import pytest

for name in ("promises", "spring", "autumn", "verbs", "world"):
    pytest.register_assert_rewrite(f"tests.year.{name}")
