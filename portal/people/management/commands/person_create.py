import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.people import services
from portal.people.errors import PeopleError
from portal.people.models import CentreRole


class Command(BaseCommand):
    help = "Makes a person, with roles of the centre if asked: the way to a new centre's first operator."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("full_name")
        parser.add_argument("--role", action="append", default=[], choices=CentreRole.Role.values)
        parser.add_argument("--unix-account")
        parser.add_argument("--language", default="vi", choices=["vi", "en"])

    def handle(self, *args: Any, **options: Any) -> None:
        password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        actor = f"command:{getpass.getuser()}"
        try:
            user = services.user_create(
                email=options["email"],
                full_name=options["full_name"],
                password=password or None,
                unix_account=options["unix_account"],
                language=options["language"],
                actor=actor,
            )
        except PeopleError as error:
            raise CommandError(str(error)) from error
        for role in options["role"]:
            services.centre_role_grant(user=user, role=role, actor=actor)
        self.stdout.write(user.email)
