"""{% load files %}: {{ stored.size_bytes|file_size }} → 1.4 MB"""

from django import template

from portal.files.units import size_text

register = template.Library()
register.filter("file_size", size_text)
