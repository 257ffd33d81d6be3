"""Uploads: checked by content, stored once by their hash, served only by the apps that know who may read them."""
