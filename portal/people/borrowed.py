"""Words that a library shows on our pages and does not translate to Vietnamese: named here so that our catalogue
does.
"""

from django.utils.translation import gettext_noop as _

ALLAUTH = (
    _("Be patient, you are sending too many requests."),
    _("Current Password"),
    _("Email"),
    _("Email address"),
    _("Forgot your password?"),
    _("Invalid login."),
    _("New Password"),
    _("New Password (again)"),
    _("Password"),
    _("Please type your current password."),
    _("Remember Me"),
    _("The email address and/or password you specified are not correct."),
    _("The email address is not assigned to any user account."),
    _("The password reset token was invalid."),
    _("This account is currently inactive."),
    _("Too many failed login attempts. Try again later."),
    _("You must type the same password each time."),
)
