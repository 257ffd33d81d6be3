"""Whether slurmdbd's tree of accounts is sound. Pure.

Up to 23.02 slurmdbd keeps the tree as nested intervals: a removal takes every association whose interval lies inside
that of the removed one. Two changes at once can give them the same numbers, and a removal then takes accounts that
nobody named (docs/threats.md). So nothing is removed or moved while an interval lies where it should not.
"""

from collections.abc import Sequence

from scheduler.clusters.adapters.protocol import TreeNode

FAULTS_MOST = 50


def tree_faults(nodes: Sequence[TreeNode]) -> list[str]:
    """What is wrong, a line each, the first FAULTS_MOST; empty where every interval lies in its parent's alone."""
    found: list[str] = []
    seen: dict[int, TreeNode] = {}
    for node in nodes:
        if node.left >= node.right:
            found.append(f"{node.name}: {node.left}–{node.right} is no interval")
        for number in {node.left, node.right}:
            other = seen.setdefault(number, node)
            if other is not node:
                found.append(f"{node.name}, {other.name}: both have {number}")
    open_nodes: list[TreeNode] = []
    for node in sorted(nodes, key=lambda node: (node.left, -node.right)):
        while open_nodes and open_nodes[-1].right < node.left:
            open_nodes.pop()
        around = open_nodes[-1] if open_nodes else None
        place = around.name if around else "nothing"
        if around is not None and node.right > around.right:
            found.append(f"{node.name}: {node.left}–{node.right} lies across {place}: {around.left}–{around.right}")
        if (around.account if around else "") != node.parent or (around is not None and around.user):
            found.append(f"{node.name}: lies in {place}, not in {node.parent or 'nothing'}")
        open_nodes.append(node)
    return found[:FAULTS_MOST]
