"""Prime numbers: find them, test for them, and take other numbers apart into them."""

from math import isqrt


def sieve(limit):
    """Return all primes below `limit` by crossing out multiples."""
    flags = bytearray([1]) * limit
    flags[:2] = bytes(min(2, limit))
    for number in range(2, isqrt(max(limit - 1, 0)) + 1):
        if flags[number]:
            flags[number * number::number] = bytes(len(range(number * number, limit, number)))
    return [number for number, is_prime in enumerate(flags) if is_prime]


def is_prime(number):
    """Test a number by trying 2, 3, and then only divisors next to a multiple of six."""
    if number < 4:
        return number >= 2
    if number % 2 == 0 or number % 3 == 0:
        return False
    return all(number % d and number % (d + 2) for d in range(5, isqrt(number) + 1, 6))


def factors(number):
    """Return the prime factors in ascending order, repeated as often as they divide."""
    if number < 1:
        raise ValueError("only positive numbers have prime factors")
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    if number > 1:
        found.append(number)
    return found


def divisors(number):
    """Return all divisors of a number in ascending order."""
    small = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    large = [number // d for d in reversed(small) if d * d != number]
    return small + large


def totient(number):
    """Count the numbers up to `number` that share no factor with it."""
    result = number
    for prime in set(factors(number)):
        result -= result // prime
    return result


def goldbach(even):
    """Write an even number above two as a sum of two primes, with the smaller one as small as possible."""
    for small in sieve(even):
        if is_prime(even - small):
            return small, even - small
    raise ValueError(f"{even} is not the sum of two primes")
