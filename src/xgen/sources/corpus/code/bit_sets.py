"""Sets of small whole numbers, kept as the bits of a single integer."""


class BitSet:
    """An immutable set of numbers from zero up; bit n is one if n is a member."""

    def __init__(self, members=()):
        """Collect the members."""
        bits = 0
        for member in members:
            if member < 0:
                raise ValueError("members are not negative")
            bits |= 1 << member
        self.bits = bits

    @classmethod
    def of_bits(cls, bits):
        """Make a set from an integer whose bits are the members."""
        result = cls()
        result.bits = bits
        return result

    def __contains__(self, member):
        """Look at one bit."""
        return bool(self.bits >> member & 1)

    def __iter__(self):
        """Yield the members in ascending order, each time by isolating the lowest bit."""
        bits = self.bits
        while bits:
            lowest = bits & -bits
            yield lowest.bit_length() - 1
            bits ^= lowest

    def __len__(self):
        """Count the ones."""
        return self.bits.bit_count()

    def __eq__(self, other):
        """Compare the bits."""
        return isinstance(other, BitSet) and self.bits == other.bits

    def __hash__(self):
        """Allow sets of sets."""
        return hash(self.bits)

    def __or__(self, other):
        """Return the union."""
        return BitSet.of_bits(self.bits | other.bits)

    def __and__(self, other):
        """Return the intersection."""
        return BitSet.of_bits(self.bits & other.bits)

    def __sub__(self, other):
        """Return the members that the other set lacks."""
        return BitSet.of_bits(self.bits & ~other.bits)

    def is_subset(self, other):
        """Say whether all members lie in the other set."""
        return self.bits & ~other.bits == 0


def subsets(whole):
    """Yield all subsets of a set, the empty one last, by counting down through its bits."""
    part = whole.bits
    while part:
        yield BitSet.of_bits(part)
        part = (part - 1) & whole.bits
    yield BitSet()
