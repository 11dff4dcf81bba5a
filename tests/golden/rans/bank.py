# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of core/codec/rans_bank.h in whole numbers of any size, and the sum that tests/unit/test_rans.cpp checks.  python3 bank.py

Everything is rounded down where the description says a number of fraction bits. Frequencies: start at the nearest share of 4096 (at least 1), then move single slots to where
count / (2 frequency + 1) is largest from where it is smallest until none gains; the first symbol wins ties.
"""

from fractions import Fraction
from functools import lru_cache
from math import isqrt

SHAPES, SCALES, TAIL = 4, 39, 640
ROOT = [1 << 31]
for _ in range(24):
    ROOT.append(isqrt(ROOT[-1] << 32))
GAUSSIAN, LAPLACE, LOGISTIC = 793129986396, 2243310366972, 2877157330161


@lru_cache(None)
def exp2_minus(power):
    whole, part = divmod(power, 1 << 40)
    if whole >= 32:
        return 0
    result = 1 << 32
    for i in range(1, 25):
        if part >> (40 - i) & 1:
            result = (result * ROOT[i]) >> 32
    return result >> whole


def down(value, quarters):
    value >>= quarters // 4
    if quarters & 2:
        value = (value * ROOT[1]) >> 32
    if quarters & 1:
        value = (value * ROOT[2]) >> 32
    return value


def density(shape, scale, fineness):
    if shape == 0:
        rate = down(GAUSSIAN << 7, 2 * scale)
        return lambda x: exp2_minus(x * x * rate // fineness**2)
    if shape == 2:
        rate = down(LAPLACE << 4, scale + 2)
        return lambda x: exp2_minus(x * rate // fineness)
    if shape == 1:
        rate = down(LOGISTIC << 4, scale + 2)

        def logistic(x):
            e = exp2_minus(x * rate // fineness)
            half = ((1 << 32) + e) // 2
            return (e << 30) // ((half * half) >> 32)

        return logistic
    rate = down(1 << 31, 2 * scale)

    def student(x):
        square = x * x * rate // fineness**2
        root = (1 << 56) // ((1 << 24) + square)
        return 0 if square >= 1 << 38 else (root * root) >> 32

    return student


def counts(shape, scale):
    parts = 64 if scale < 18 else 16 if scale < 26 else 4
    height = density(shape, scale, 2 * parts)
    mass, x = [0] * TAIL, 1
    for r in range(TAIL):
        for _ in range(parts // 2 if r == 0 else parts):
            h = height(x)
            if h == 0:
                break
            mass[r] += 2 * h
            x += 2
        else:
            continue
        break
    total, covered, result = sum(mass), 0, [0] * 256
    unit = (total >> 26) + 1
    for r in range(128):
        each = mass[r] // (1 if r == 0 else 2)
        if each << 15 < total:
            break
        covered += mass[r]
        result[128 + r] = result[128 - r] = each // unit
    result[0] = (total - covered) // unit + 1
    return result


def frequencies(count):
    total = sum(count)
    present = [s for s in range(256) if count[s]]
    f = {s: max(1, (count[s] * 4096 + total // 2) // total) for s in present}
    gain = lambda s: Fraction(count[s], 2 * f[s] + 1)
    loss = lambda s: Fraction(count[s], 2 * f[s] - 1)
    while True:
        need = 4096 - sum(f.values())
        to = max(present, key=gain)
        sources = [s for s in present if f[s] > 1]
        source = min(sources, key=loss) if sources else None
        if need > 0:
            f[to] += 1
        elif need < 0:
            f[source] -= 1
        elif source is not None and source != to and gain(to) > loss(source):
            f[to] += 1
            f[source] -= 1
        else:
            return [f.get(s, 0) for s in range(256)]


if __name__ == "__main__":
    rolling = 0
    for shape in range(SHAPES):
        for scale in range(SCALES):
            for f in frequencies(counts(shape, scale)):
                rolling = (rolling * 31 + f) % (1 << 32)
    print(rolling)
