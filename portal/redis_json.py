"""How values of the Redis cache are written: as JSON. Django's own way is pickle, and whoever may write to Redis could
then run code in every process that reads from it, the cluster's worker among them.
"""

import json
from typing import Any


class JsonSerializer:
    def dumps(self, value: object) -> bytes:
        """Raises TypeError for what JSON does not know. A number stays one to Redis, too (INCR)."""
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)
