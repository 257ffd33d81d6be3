from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from monitoring.canary.demo import demo_accounts, demo_file
from monitoring.canary.errors import CanaryFailed
from monitoring.canary.play import main_job_play
from scheduler.clusters.adapters import ClusterError


class Command(BaseCommand):
    help = "Plays the main job on this demo stack: from an application to a charge that equals slurmdbd's record."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            played = main_job_play(self.stderr.write)
        except CanaryFailed as error:
            raise CommandError(str(error)) from error
        except ClusterError as error:
            raise CommandError(f"Slurm does not answer: {error} `make status` shows its processes.") from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"PostgreSQL does not answer: {' '.join(str(error).split())}") from error
        for account in demo_accounts():
            self.stdout.write(
                f"  {account['email']:24} {account['password']:18} {account['name']} ({account['roles']})"
            )
        self.stdout.write(f"  the demo's accounts, also in {demo_file()}")
        self.stdout.write(
            f"main job ok: job={played.slurm_job_id} charged_gpu_seconds={played.charged_gpu_seconds}"
            f" slurmdbd_gpu_seconds={played.slurmdbd_gpu_seconds} residual={played.residual_gpu_seconds}"
            f" url={settings.SITE_URL}"
        )
