"""Disjoint sets: join things into groups and ask, quickly, whether two of them are in the same group."""


class Groups:
    """A partition of hashable things; a thing that was never mentioned is a group of its own."""

    def __init__(self):
        """Start with no groups."""
        self._parents = {}
        self._sizes = {}

    def find(self, thing):
        """Return the representative of a thing's group, and shorten the way to it for the next time."""
        self._parents.setdefault(thing, thing)
        self._sizes.setdefault(thing, 1)
        root = thing
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[thing] != root:
            self._parents[thing], thing = root, self._parents[thing]
        return root

    def join(self, first, second):
        """Unite two groups, the smaller one under the larger; return False if they were one already."""
        a, b = self.find(first), self.find(second)
        if a == b:
            return False
        if self._sizes[a] < self._sizes[b]:
            a, b = b, a
        self._parents[b] = a
        self._sizes[a] += self._sizes[b]
        return True

    def together(self, first, second):
        """Say whether two things are in the same group."""
        return self.find(first) == self.find(second)

    def size(self, thing):
        """Count the members of a thing's group."""
        return self._sizes[self.find(thing)]

    def groups(self):
        """Return all groups as lists, in the order in which their first members were mentioned."""
        members = {}
        for thing in list(self._parents):
            members.setdefault(self.find(thing), []).append(thing)
        return list(members.values())


def spanning_tree(edges):
    """Return the cheapest edges that connect everything, by Kruskal's method; an edge is (cost, first, second)."""
    groups = Groups()
    return [edge for edge in sorted(edges) if groups.join(edge[1], edge[2])]


def num_islands(cells):
    """Count the connected patches of (row, column) cells; cells connect at their sides."""
    groups = Groups()
    land = set(cells)
    for row, column in land:
        groups.find((row, column))
        for neighbor in ((row + 1, column), (row, column + 1)):
            if neighbor in land:
                groups.join((row, column), neighbor)
    return len(groups.groups())
