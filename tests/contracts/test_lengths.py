"""No file grows beyond what one person reads in one sitting, and no room beyond what fits in one head."""

from contracts.tree import SOURCE, modules, shown

LONGEST_FILE = 400
LARGEST_ROOM = 1_600  # docs/decisions/0016


def num_lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_source_file_is_longer_than_the_limit():
    lengths = {shown(path): num_lines(path) for path in modules()}
    assert lengths, "there are sources"
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_room_is_larger_than_the_limit():
    rooms = {room.name: sum(map(num_lines, modules(room))) for room in SOURCE.iterdir() if room.is_dir()}
    assert {name: length for name, length in rooms.items() if length > LARGEST_ROOM} == {}
