"""Which run owned which GPU, from when to when: the nodes' events reconciled with slurmdbd's records."""
