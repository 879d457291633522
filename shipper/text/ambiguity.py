"""What an automaton tells about time: loops that read one text in two ways, and loops that share a text."""

from __future__ import annotations

from shipper.text.positions import Positions, TooLarge

PAIRS = 500_000
"""Steps that the walk of two may take before it is given up."""


class Ambiguity:
    """Of a pattern whose positions are built."""

    def __init__(self, positions: Positions) -> None:
        self.masks = positions.masks
        self.follow = positions.follow
        self.short = positions.short
        self.double = positions.double
        self.calm = positions.calm

    def doubled(self) -> bool:
        """Whether a loop has a step that can be taken in two ways."""
        where = loops(self.follow)
        return any(where[at] == where[to] >= 0 and not self._accepts(where, at) for at, to in self.double)

    def ambiguous(self) -> bool:
        """Whether two ways round a loop read the same text: a walk of two, parted and met again."""
        where = loops(self.follow)
        todo = [(at, at) for at, loop in enumerate(where) if loop >= 0 and not self._accepts(where, at)]
        seen: set[tuple[int, int]] = set()
        work = 0
        while todo:
            one, two = todo.pop()
            for a in self.follow[one]:
                if where[a] != where[one]:
                    continue
                for b in self.follow[two]:
                    work += 1
                    if where[b] != where[one] or not self.masks[a] & self.masks[b]:
                        continue
                    if a == b:
                        if one != two:
                            return True
                        continue
                    pair = (a, b) if a < b else (b, a)
                    if pair not in seen:
                        seen.add(pair)
                        todo.append(pair)
            if work > PAIRS:
                raise TooLarge
        return False

    def degree(self) -> int:
        """The longest chain of loops that can share a text."""
        follow = [to - {at} if at in self.short else to for at, to in enumerate(self.follow)]
        where = loops(follow)
        count = max(where, default=-1) + 1
        alphabets, members = [0] * count, [set[int]() for _ in range(count)]
        for at, loop in enumerate(where):
            if loop >= 0:
                alphabets[loop] |= self.masks[at]
                members[loop].add(at)
        fails = [not each <= self.calm for each in members]
        chains = [0] * count
        # Tarjan numbers a loop before those from which it can be reached
        for loop in range(count):
            behind = 0
            for other in range(loop):
                if chains[other] > behind and self._shared(
                    members[loop], members[other], alphabets[loop] & alphabets[other]
                ):
                    behind = chains[other]
            chains[loop] = behind + fails[loop]
        return max(chains, default=0)

    def _shared(self, one: set[int], other: set[int], mask: int) -> bool:
        """Whether a text that both loops can read leads from one to the other."""
        todo = self._loop_on(one, mask)
        goal = self._loop_on(other, mask) if todo else set()
        seen = set(todo)
        while todo and goal:
            for to in self.follow[todo.pop()]:
                if self.masks[to] & mask and to not in seen:
                    if to in goal:
                        return True
                    seen.add(to)
                    todo.add(to)
        return False

    def _loop_on(self, members: set[int], mask: int) -> set[int]:
        """The positions of a loop that are still in one when it may read these characters only."""
        left = {at for at in members if self.masks[at] & mask}
        while True:
            kept = {at for at in left if self.follow[at] & left}
            if kept == left:
                return kept
            left = kept

    def _accepts(self, where: list[int], at: int) -> bool:
        """Whether the pattern has matched wherever it is in the loop: nothing is tried again there."""
        return all(other in self.calm for other, loop in enumerate(where) if loop == where[at])


def loops(follow: list[set[int]]) -> list[int]:
    """The number of the loop that each position is in, or -1 (Tarjan's strongly connected components)."""
    found = [-1] * len(follow)
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on: set[int] = set()
    count = 0
    for root in range(len(follow)):
        if root in index:
            continue
        work = [(root, iter(follow[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            at, steps = work[-1]
            for to in steps:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on.add(to)
                    work.append((to, iter(follow[to])))
                    break
                if to in on:
                    low[at] = min(low[at], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    part = []
                    while True:
                        each = stack.pop()
                        on.discard(each)
                        part.append(each)
                        if each == at:
                            break
                    if len(part) > 1 or at in follow[at]:
                        for each in part:
                            found[each] = count
                        count += 1
    return found
