"""What stands on applications hangs itself in here, in AppConfig.ready(), so that applications import none of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from portal.people.models import User
from portal.web.registry import Cards
from quotas.applications.models import Application

Follower = Callable[[Application, User], None]


@dataclass
class Followers:
    """What happens with something, in the same transaction: each is called with the application and who did it."""

    followers: list[Follower] = field(default_factory=list)

    def register(self, follower: Follower) -> None:
        if follower not in self.followers:
            self.followers.append(follower)

    def follow(self, application: Application, person: User) -> None:
        for follower in self.followers:
            follower(application, person)


withdrawals = Followers()
returns = Followers()  # for changes
resubmissions = Followers()  # of what was returned
application_cards = Cards()  # on an application's page, reversed with its number
