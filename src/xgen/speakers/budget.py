"""A purse that is shared by threads and never paid beyond its limit."""

import threading

from xgen.core.errors import UserError


class Purse:
    """Money for requests under way, in US dollars: set aside at most, settled at what it was. A limit of 0 is none."""

    def __init__(self, limit: float, spent: float) -> None:
        self._limit, self._spent, self._set_aside, self._holders = limit, spent, 0.0, 0
        self._changed = threading.Condition()

    def set_aside(self, amount: float) -> None:
        """Hold the most that a request can cost; wait for others to be settled, and refuse where that cannot help."""
        with self._changed:
            while self._limit and self._spent + self._set_aside + amount > self._limit:
                if self._holders == 0:
                    raise UserError(
                        f"${self._spent:.4f} of the budget of ${self._limit:g} are spent, and the next request may "
                        f"cost ${amount:.4f}",
                        "a budget that it fits into",
                        "Raise the budget and run the same command again: what is paid is kept and not asked again.",
                    )
                self._changed.wait()
            self._set_aside, self._holders = self._set_aside + amount, self._holders + 1

    def settle(self, amount: float, paid: float) -> None:
        """Give back what was set aside for a request, less what it cost."""
        with self._changed:
            self._holders -= 1
            self._set_aside = self._set_aside - amount if self._holders else 0.0
            self._spent += paid
            self._changed.notify_all()
