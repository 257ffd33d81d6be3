from tests.stack.conftest import stack

__all__ = ["stack"]
