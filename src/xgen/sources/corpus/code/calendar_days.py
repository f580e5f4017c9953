"""Arithmetic with dates of the Gregorian calendar, done with nothing but whole numbers."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def is_leap(year):
    """Say whether a year has a February 29: every fourth, but only every fourth of the full centuries."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year, month):
    """Return how many days a month has."""
    if not 1 <= month <= 12:
        raise ValueError(f"there is no month {month}")
    if month == 2:
        return 29 if is_leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def day_of_year(year, month, day):
    """Count the days since the last day of the old year; January 1 is day 1."""
    if not 1 <= day <= days_in_month(year, month):
        raise ValueError(f"month {month} of {year} has no day {day}")
    return sum(days_in_month(year, earlier) for earlier in range(1, month)) + day


def ordinal(year, month, day):
    """Count the days since the last day of the year 0, so that dates can be subtracted."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 + day_of_year(year, month, day)


def weekday(year, month, day):
    """Name the day of the week; day 1 of year 1 would have been a Monday."""
    return WEEKDAYS[(ordinal(year, month, day) - 1) % 7]


def days_between(first, second):
    """Return the days from one (year, month, day) to another; negative if the second is earlier."""
    return ordinal(*second) - ordinal(*first)


def easter(year):
    """Return the (month, day) of Easter Sunday, by the anonymous rule of 1876."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return month, day + 1
