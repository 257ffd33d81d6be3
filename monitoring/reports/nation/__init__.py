"""The nation's figures: whole for those who run the centre; for everybody, what names no small organisation."""
