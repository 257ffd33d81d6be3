from django.middleware.locale import LocaleMiddleware


class LanguageMiddleware(LocaleMiddleware):
    """Vietnamese first: the browser's Accept-Language is ignored; a person's own choice decides."""
