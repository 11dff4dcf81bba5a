#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes small bandwidth traces in each format and, to traces.json, what passes through them: summed millisecond by
millisecond or stretch by stretch, without KVScope."""

import json
import pathlib
import random

here = pathlib.Path(__file__).parent
rng = random.Random(7)
expected = {}


def walk(stretches, duration, until):
    """Bytes by a time in a looped list of (begin, end, bit/s), by walking through it."""
    done, base = 0.0, 0.0
    while True:
        for begin, end, rate in stretches:
            stop = min(base + end, until)
            if stop > base + begin:
                done += (stop - base - begin) * rate / 8
            if base + end >= until:
                return done
        base += duration


def when(stretches, duration, start, amount):
    """The time at which an amount has passed since a start, by walking through the stretches."""
    left, base = amount, 0.0
    while True:
        for begin, end, rate in stretches:
            a, b = max(base + begin, start), base + end
            if b <= a or rate == 0:
                continue
            through = (b - a) * rate / 8
            if through >= left:
                return a + left / (rate / 8)
            left -= through
        base += duration


def describe(name, stretches):
    duration = stretches[-1][1]
    total = walk(stretches, duration, duration)
    times = [0.1, 0.5, 0.999, 1.0, 1.7, 3.3, duration, 2.5 * duration, 40.123]
    asks = [(0.0, 0.3), (0.4, 1.0), (1.3, 2.25), (duration * 0.9, 0.4), (12.3, 5.5)]
    expected[name] = {
        "duration": duration,
        "mean": 8 * total / duration,
        "bytes_until": [[t, walk(stretches, duration, t)] for t in times],
        "when": [[s, share * total, when(stretches, duration, s, share * total)] for s, share in asks],
    }


stamps = sorted(rng.choice([rng.randrange(0, 900), rng.randrange(1500, 4001)]) for _ in range(700)) + [4001]
(here / "mahimahi.down").write_text("".join(f"{s}\n" for s in stamps))
per_ms = [0] * 4001
for s in stamps:
    per_ms[max(s, 1) - 1] += 1
describe("mahimahi.down", [(i / 1000, (i + 1) / 1000, n * 12000 * 1000) for i, n in enumerate(per_ms)])

t, before, lines, stretches = 0.0, 0.0, ["0.0\t9.5"], []
for i in range(20):
    t = round(t + rng.uniform(0.1, 0.7), 3)
    rate = 0.0 if i == 5 else round(rng.uniform(0.2, 30), 4)
    lines.append(f"{t}\t{rate}")
    stretches.append((before, t, rate * 1e6))
    before = t
(here / "pensieve.txt").write_text("\n".join(lines) + "\n")
describe("pensieve.txt", stretches)

rows = [(0.0, 4.0), (0.4, 0.4), (1.5, 0.0), (1.75, 2.5), (3.0, 8.0)]
(here / "steps.csv").write_text("seconds,Gbit/s\n" + "".join(f"{a},{b}\n" for a, b in rows))
ends = [a for a, _ in rows[1:]] + [3.0 + 1.25]
describe("steps.csv", [(a, end, b * 1e9) for (a, b), end in zip(rows, ends)])

lists = [[round(rng.uniform(0.1, 10), 6) for _ in range(10)] for _ in range(3)]
(here / "cachegen.jsonl").write_text("".join(json.dumps({"bw": x}) + "\n" for x in lists))
flat = [x for line in lists for x in line]
describe("cachegen.jsonl", [(i * 0.125, (i + 1) * 0.125, x * 1e9) for i, x in enumerate(flat)])

(here / "traces.json").write_text(json.dumps(expected, indent=1) + "\n")
