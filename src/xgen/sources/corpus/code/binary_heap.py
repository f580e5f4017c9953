"""A binary heap: the smallest item is always at the front, and pushing or popping takes logarithmic time."""


class Heap:
    """A priority queue over items that can be compared with each other."""

    def __init__(self, items=()):
        """Arrange `items` as a heap, in linear time, starting with the last parent."""
        self.items = list(items)
        for index in reversed(range(len(self.items) // 2)):
            self._sink(index)

    def __len__(self):
        """Count the items."""
        return len(self.items)

    def peek(self):
        """Return the smallest item without removing it."""
        return self.items[0]

    def push(self, item):
        """Add an item at the end and let it rise to its place."""
        self.items.append(item)
        self._rise(len(self.items) - 1)

    def pop(self):
        """Remove and return the smallest item."""
        last = self.items.pop()
        if not self.items:
            return last
        smallest, self.items[0] = self.items[0], last
        self._sink(0)
        return smallest

    def _rise(self, index):
        """Swap an item with its parent for as long as it is smaller."""
        while index > 0:
            parent = (index - 1) // 2
            if self.items[parent] <= self.items[index]:
                return
            self.items[parent], self.items[index] = self.items[index], self.items[parent]
            index = parent

    def _sink(self, index):
        """Swap an item with its smaller child for as long as it is larger."""
        while True:
            smallest = index
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(self.items) and self.items[child] < self.items[smallest]:
                    smallest = child
            if smallest == index:
                return
            self.items[smallest], self.items[index] = self.items[index], self.items[smallest]
            index = smallest


def heap_sort(items):
    """Return the items in ascending order."""
    heap = Heap(items)
    return [heap.pop() for _ in range(len(heap))]
