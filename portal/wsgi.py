"""The web server's door. Commands and tests come in elsewhere and may do without a secret."""

import gc
import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
if settings.SECRET_KEY == settings.DEFAULT_SECRET_KEY and not settings.DEBUG:
    raise ImproperlyConfigured("The web server refuses to start without a SECRET_KEY of its own while DEBUG is off.")
application = get_wsgi_application()
# What was loaded up to here never becomes garbage, and a request makes some 40,000 objects: to look for cycles after
# every 700 costs a submission 4 % of its processor time.
gc.freeze()
gc.set_threshold(50_000, 10, 10)
