"""Small matrices of numbers, as immutable rows; enough to solve a few linear equations by hand."""


class Matrix:
    """A rectangle of numbers."""

    def __init__(self, rows):
        """Take a list of rows of one length."""
        self.rows = tuple(tuple(row) for row in rows)
        if not self.rows or len({len(row) for row in self.rows}) != 1:
            raise ValueError("a matrix needs at least one row, and rows of one length")

    @property
    def shape(self):
        """Return the number of rows and of columns."""
        return len(self.rows), len(self.rows[0])

    def __eq__(self, other):
        """Compare entry by entry."""
        return isinstance(other, Matrix) and self.rows == other.rows

    def __hash__(self):
        """Allow matrices as keys; equal matrices have equal hashes."""
        return hash(self.rows)

    def __add__(self, other):
        """Add two matrices of the same shape."""
        if self.shape != other.shape:
            raise ValueError(f"cannot add {self.shape} and {other.shape}")
        return Matrix([a + b for a, b in zip(x, y, strict=True)] for x, y in zip(self.rows, other.rows, strict=True))

    def __matmul__(self, other):
        """Multiply rows by columns."""
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"cannot multiply {self.shape} by {other.shape}")
        columns = other.transpose().rows
        return Matrix([sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in self.rows)

    def transpose(self):
        """Turn rows into columns."""
        return Matrix(zip(*self.rows, strict=True))

    def minor(self, row, column):
        """Leave out one row and one column."""
        kept = [r for i, r in enumerate(self.rows) if i != row]
        return Matrix([x for j, x in enumerate(r) if j != column] for r in kept)

    def determinant(self):
        """Expand along the first row; fine for small matrices, hopeless for large ones."""
        if self.shape[0] != self.shape[1]:
            raise ValueError("only a square matrix has a determinant")
        if self.shape == (1, 1):
            return self.rows[0][0]
        return sum((-1) ** j * x * self.minor(0, j).determinant() for j, x in enumerate(self.rows[0]))


def identity(size):
    """Return the matrix with ones on the diagonal and zeros elsewhere."""
    return Matrix([int(i == j) for j in range(size)] for i in range(size))
