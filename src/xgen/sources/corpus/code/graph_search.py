"""Walks through graphs: a graph is a dictionary that maps each node to its neighbors."""

import heapq
from collections import deque


def reachable(graph, start):
    """Return the set of nodes that can be reached, the start included."""
    seen, stack = {start}, [start]
    while stack:
        for neighbor in graph.get(stack.pop(), ()):
            if neighbor not in seen:
                seen.add(neighbor)
                stack.append(neighbor)
    return seen


def fewest_steps(graph, start, goal):
    """Return a shortest path by breadth-first search, or None if there is none."""
    came_from, queue = {start: None}, deque([start])
    while queue:
        node = queue.popleft()
        if node == goal:
            return _path(came_from, goal)
        for neighbor in graph.get(node, ()):
            if neighbor not in came_from:
                came_from[neighbor] = node
                queue.append(neighbor)
    return None


def cheapest(graph, start, goal):
    """Return (cost, path) by Dijkstra's method; here `graph[node]` maps neighbors to costs of at least zero."""
    came_from, done = {}, set()
    heap = [(0, start, None)]
    while heap:
        cost, node, previous = heapq.heappop(heap)
        if node in done:
            continue
        done.add(node)
        came_from[node] = previous
        if node == goal:
            return cost, _path(came_from, goal)
        for neighbor, step in graph.get(node, {}).items():
            if neighbor not in done:
                heapq.heappush(heap, (cost + step, neighbor, node))
    return None


def _path(came_from, node):
    """Follow the arrows back to the start."""
    path = []
    while node is not None:
        path.append(node)
        node = came_from[node]
    return path[::-1]


def in_order(graph):
    """Sort nodes so that each comes before its neighbors; a cycle is an error."""
    incoming = dict.fromkeys(graph, 0)
    for neighbors in graph.values():
        for neighbor in neighbors:
            incoming[neighbor] = incoming.get(neighbor, 0) + 1
    ready = deque(node for node, count in incoming.items() if count == 0)
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for neighbor in graph.get(node, ()):
            incoming[neighbor] -= 1
            if incoming[neighbor] == 0:
                ready.append(neighbor)
    if len(order) != len(incoming):
        raise ValueError("the graph has a cycle")
    return order
