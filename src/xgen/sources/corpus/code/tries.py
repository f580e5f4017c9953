"""A trie: words that begin alike share the path from the root, so looking up a prefix is a short walk."""


class Trie:
    """A set of words."""

    def __init__(self, words=()):
        """Add all the words."""
        self.children = {}
        self.is_word = False
        for word in words:
            self.add(word)

    def add(self, word):
        """Walk along the letters, making nodes where there are none, and mark the last one."""
        node = self
        for letter in word:
            node = node.children.setdefault(letter, Trie())
        node.is_word = True

    def _find(self, prefix):
        """Return the node at the end of a prefix, or None."""
        node = self
        for letter in prefix:
            node = node.children.get(letter)
            if node is None:
                return None
        return node

    def __contains__(self, word):
        """Say whether the word was added, not only a longer one."""
        node = self._find(word)
        return node is not None and node.is_word

    def __iter__(self):
        """Yield the words in alphabetical order."""
        if self.is_word:
            yield ""
        for letter in sorted(self.children):
            for rest in self.children[letter]:
                yield letter + rest

    def completions(self, prefix):
        """List the words that begin with a prefix."""
        node = self._find(prefix)
        return [] if node is None else [prefix + rest for rest in node]

    def longest_prefix(self, text):
        """Return the longest word with which a text begins, or None."""
        node, found = self, "" if self.is_word else None
        for index, letter in enumerate(text):
            node = node.children.get(letter)
            if node is None:
                break
            if node.is_word:
                found = text[:index + 1]
        return found

    def remove(self, word):
        """Take a word out again and prune the nodes that lead nowhere; a missing word is an error."""
        if not word:
            if not self.is_word:
                raise KeyError(word)
            self.is_word = False
            return
        child = self.children.get(word[0])
        if child is None:
            raise KeyError(word)
        child.remove(word[1:])
        if not child.children and not child.is_word:
            del self.children[word[0]]
