"""A host's groups in memory. What it promises is kept by the real one in test_wrapper.py and test_real_groups.py."""

from scheduler.clusters.unix_groups import FolderInfo, GroupRefused


class Host:
    def __init__(self, *, accounts: frozenset[str] = frozenset({"minh", "hoa", "tuan", "quan"})) -> None:
        self.groups: dict[str, set[str]] = {}
        self.accounts = set(accounts)
        self.refuses: set[str] = set()  # names that the wrapper lets in nowhere
        self.lying: dict[str, FolderInfo] = {}
        self.changes: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []

    def account_exists(self, name: str) -> bool:
        return name in self.accounts

    def members(self, names):
        return {name: frozenset(self.groups[name]) if name in self.groups else None for name in names}

    def change(self, *, group, add=(), remove=()) -> None:
        self.changes.append((group, tuple(add), tuple(remove)))
        if self.refuses & set(add):
            raise GroupRefused("saola-groups: person: no researcher")
        self.groups[group] = (self.groups.get(group, set()) - set(remove)) | set(add)

    def folders(self, paths):
        return {path: self.lying[path] for path in paths if path in self.lying}
