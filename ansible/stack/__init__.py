"""One stack on this machine: what it is called, where it lies, what runs of it.

`make` runs this before there is a virtual environment: standard library only, Debian's own python3. It installs and
configures nothing, the play and `bootstrap` do; it decides whether they must run, and what to tell a person.
"""
