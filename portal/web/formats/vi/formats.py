"""How Vietnamese pages write dates and numbers; Django's own has no grouping of digits."""

DATE_FORMAT = r"j \t\h\á\n\g n \n\ă\m Y"  # Django's month names are capitals, as at the head of a calendar
SHORT_DATE_FORMAT = "d/m/Y"
DATETIME_FORMAT = r"H:i \n\g\à\y j \t\h\á\n\g n \n\ă\m Y"
SHORT_DATETIME_FORMAT = "H:i d/m/Y"
TIME_FORMAT = "H:i"
DECIMAL_SEPARATOR = ","
THOUSAND_SEPARATOR = "."
NUMBER_GROUPING = 3
DATE_INPUT_FORMATS = ["%Y-%m-%d", "%d/%m/%Y"]  # a date input speaks the first
