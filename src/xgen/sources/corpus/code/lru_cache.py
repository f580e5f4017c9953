"""A cache that forgets what was used least recently."""

from collections import OrderedDict


class LruCache:
    """Keep at most `capacity` values; reading a value counts as using it."""

    def __init__(self, capacity):
        """Start empty."""
        if capacity < 1:
            raise ValueError("a cache needs room for at least one value")
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._values = OrderedDict()

    def __len__(self):
        """Count the values that are held."""
        return len(self._values)

    def __contains__(self, key):
        """Say whether a key is held, without counting it as a use."""
        return key in self._values

    def get(self, key, default=None):
        """Return the value of a key and move it to the fresh end."""
        if key not in self._values:
            self.misses += 1
            return default
        self.hits += 1
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key, value):
        """Store a value, and drop the stalest one if there is no room."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self.capacity:
            self._values.popitem(last=False)

    def hit_rate(self):
        """Return the share of lookups that found something, or 0.0 before the first one."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


def remembered(capacity):
    """Decorate a function of hashable arguments so that recent answers are not computed again."""
    def decorate(function):
        cache = LruCache(capacity)
        missing = object()

        def wrapper(*arguments):
            value = cache.get(arguments, missing)
            if value is missing:
                value = function(*arguments)
                cache.put(arguments, value)
            return value

        wrapper.cache = cache
        return wrapper
    return decorate
