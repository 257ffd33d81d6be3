"""Which function delivers which topic. Apps register theirs in `tasks.py`:

    @handler("mail.send")
    def mail_send(message: Message) -> None: ...

A handler runs outside any transaction (it may commit in the middle of its work) and may be called again with the same
message after a crash: it is idempotent on the message's topic and key. Returning means delivered; raising means again
later.
"""

from collections.abc import Callable

from django.utils.module_loading import autodiscover_modules

from portal.outbox.errors import HandlerUnknown
from portal.outbox.models import Message

Handler = Callable[[Message], None]
_handlers: dict[str, Handler] = {}


def handler(topic: str) -> Callable[[Handler], Handler]:
    """Registers the decorated function for a topic."""

    def register(function: Handler) -> Handler:
        known = _handlers.get(topic)
        if known is not None and (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise ValueError(f"Topic {topic} already has the handler {known.__module__}.{known.__qualname__}.")
        _handlers[topic] = function
        return function

    return register


def handler_for(topic: str) -> Handler:
    """Raises HandlerUnknown."""
    if topic not in _handlers:
        autodiscover_modules("tasks")  # a command run by hand has not imported them; a worker has
    if topic not in _handlers:
        raise HandlerUnknown(topic)
    return _handlers[topic]
