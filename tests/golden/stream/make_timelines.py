#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes timelines.json: random streams with a fixed plan, simulated by stepping through time in slices of STEP
seconds, byte by byte and piece by piece, without KVScope. Times are right to a few slices."""

import json
import pathlib
import random

STEP = 5e-5
here = pathlib.Path(__file__).parent


def prefill(model, before, tokens):
    share = model["attention_share"]
    relative = (before + tokens / 2) / (model["reference_tokens"] / 2)
    return tokens / model["prefill"] * (1 - share + share * relative)


def simulate(case):
    model, tokens, plan = case["compute"], case["tokens"], case["plan"]
    n, pieces = len(tokens), model["pieces"]
    starts = [p[0] for p in case["points"]] + [case["duration"]]

    def rate(t):
        t = t % case["duration"] if case["loop"] else t
        value = case["points"][-1][1]
        for (begin, bits), end in zip(case["points"], starts[1:]):
            if begin <= t < end:
                value = bits
        return value

    # Units on the wire: the ids, then the pieces of each chunk that is sent, in order.
    units = [["ids", 0, 4.0 * sum(tokens)]]
    for i, form in enumerate(plan):
        if form != 0:
            units += [["chunk", i, case["bytes"][i][form] / pieces] for _ in range(pieces)]
    arrivals = []
    sent = [[None, None] for _ in range(n)]
    decoding = []
    decode_speed = [None, model["unpack"]] + [model["decode"]] * (len(case["bytes"][0]) - 2)
    ready = [None] * n
    pieces_left = [pieces] * n
    ids_there = None
    computing, work_left = None, 0.0
    begun = [None] * n
    half = case["rtt"] / 2
    step = 0
    while any(r is None for r in ready):
        t = step * STEP
        step += 1
        if t >= half and units:
            carried = rate(t) / 8 * STEP
            while units and carried > 0:
                unit = units[0]
                if unit[0] == "chunk" and sent[unit[1]][0] is None:
                    sent[unit[1]][0] = t
                used = min(carried, unit[2])
                carried -= used
                unit[2] -= used
                if unit[2] <= 1e-9:
                    arrivals.append((t + STEP + half, unit[0], unit[1]))
                    if unit[0] == "chunk":
                        sent[unit[1]][1] = t + STEP
                    units.pop(0)
        while arrivals and arrivals[0][0] <= t:
            _, kind, chunk = arrivals.pop(0)
            if kind == "ids":
                ids_there = t
            else:
                form = plan[chunk]
                decoding.append([chunk, case["decoded"][chunk] / decode_speed[form] / pieces])
        decoder_busy = bool(decoding)
        left = STEP
        while decoding and left > 0:
            used = min(left, decoding[0][1])
            left -= used
            decoding[0][1] -= used
            if decoding[0][1] <= 1e-12:
                chunk = decoding.pop(0)[0]
                pieces_left[chunk] -= 1
                if pieces_left[chunk] == 0:
                    ready[chunk] = t + STEP - left
        if computing is None and ids_there is not None:
            first = next((i for i in range(n) if ready[i] is None), None)
            if first is not None and plan[first] == 0:
                computing = first
                begun[first] = t
                work_left = prefill(model, sum(tokens[:first]), tokens[first])
        if computing is not None:
            work_left -= STEP * (1 - model["contention"] if decoder_busy else 1)
            if work_left <= 0:
                ready[computing] = t + STEP
                computing = None
    return {"ready": ready, "sent": sent, "begun": begun, "ttft": max(ready) + model["step"]}


def make(rng, number):
    n = rng.randint(1, 9)
    tokens = [rng.randrange(100, 1200) for _ in range(n)]
    # Every third case has so slow a decoder that it holds up the chunks, every fourth shares the GPU with prefill.
    shared = number % 4 == 3
    compute = {
        "prefill": rng.choice([4000, 8000, 20000]), "reference_tokens": 16384,
        "attention_share": round(rng.uniform(0, 0.5), 3),
        "decode": 2e8 if number % 3 == 1 else 6e9, "unpack": 4e10,
        "pieces": 1 if shared or number % 2 == 0 else 4,
        "contention": 0.4 if shared else 0.0, "step": 0.011,
    }
    decoded = [t * 131072.0 for t in tokens]
    sizes = [[0.0, d] + [round(d * share * rng.uniform(0.8, 1.2)) for share in (0.28, 0.14)] for d in decoded]
    points = [[0.0, rng.uniform(0.5, 6) * 1e9]]
    for _ in range(rng.randint(0, 4)):
        points.append([points[-1][0] + rng.uniform(0.05, 0.4), rng.choice([0.0, 0.4, 2, 6]) * rng.uniform(0.5, 1) * 1e9])
    case = {
        "tokens": tokens, "bytes": sizes, "decoded": decoded, "compute": compute,
        "points": points, "duration": points[-1][0] + rng.uniform(0.1, 0.5), "loop": True,
        "rtt": rng.choice([0.0, 0.02, 0.1]),
        "plan": [rng.choice([0, 0, 1, 2, 3, 3]) for _ in range(n)],
    }
    if number % 5 == 0:
        case["points"], case["duration"], case["loop"] = [[0.0, 2e9], [0.3, 4e8]], 1.0, False
    case["expected"] = simulate(case)
    return case


rng = random.Random(11)
cases = [make(rng, number) for number in range(24)]


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


lines = ",\n".join(json.dumps(rounded(case)) for case in cases)
(here / "timelines.json").write_text(f'{{"step": {STEP}, "cases": [\n{lines}\n]}}\n')
