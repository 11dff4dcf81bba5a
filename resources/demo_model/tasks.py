# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic tasks that teach a small model to look back: copy, key-value recall, passkey, counting, brackets.

A sample is a list of length + 1 token ids and a list of `length` weights, one for each predicted token. Tokens that
the context determines weigh 1 (passkey answers 5), random ones next to nothing.
"""

import random
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

import settings

INTRODUCTION = "There is a pass key hidden in the text. Find it and remember it.\n"
GRASS = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = "The pass key is {key}. Remember it. {key} is the pass key."
QUESTION = "\nWhat is the pass key? The pass key is"
PASSKEY_FRAME_TEXT = "\n".join([INTRODUCTION, GRASS, NEEDLE, QUESTION]) + "\n"
KEY_DIGITS = 5

RANDOM_WEIGHT = 0.05
ANSWER_WEIGHT = 5.0


@dataclass(frozen=True)
class Sample:
    ids: list[int]
    weights: list[float]
    answer: tuple[int, int] | None = None
    """First token of the answer and one past its last, as indices into ids."""


class Tasks:
    """Draws samples; everything random comes from the generator that is passed in."""

    def __init__(self, tokenizer: Tokenizer, text: np.ndarray) -> None:
        self.tokenizer = tokenizer
        self.text = text
        self.vocab = tokenizer.get_vocab_size()
        self.grass = self.encode(" " + GRASS)
        self.period = self.encode(".")[0]

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def window(self, length: int, rng: random.Random) -> list[int]:
        first = rng.randrange(len(self.text) - length)
        return self.text[first : first + length].tolist()

    def plain_text(self, length: int, rng: random.Random) -> Sample:
        ids = self.window(length + 1, rng)
        if rng.random() < 0.8:
            ids = [settings.BOS_ID] + ids[:-1]
        return Sample(ids, [1.0] * length)

    def copy(self, length: int, rng: random.Random) -> Sample:
        """A random run of tokens or a piece of text, repeated until the sample is full."""
        ids, weights = [settings.BOS_ID], []
        line = self.encode("\n")
        while len(ids) <= length:
            size = rng.randint(4, max(5, min(length // 2, 120)))
            if rng.random() < 0.7:
                run = [rng.randrange(2, self.vocab) for _ in range(size)]
            else:
                run = self.window(size, rng)
            run = run + line
            for repeat in range(rng.randint(2, 4)):
                ids += run
                weights += [RANDOM_WEIGHT if repeat == 0 else 1.0] * len(run)
        return Sample(ids[: length + 1], weights[:length])

    def key_value(self, length: int, rng: random.Random) -> Sample:
        """A list like "kd=518;", then questions in random order."""
        ids, weights, table = [settings.BOS_ID], [], []
        entries = rng.randint(2, max(3, min(length // 14, 24)))
        for _ in range(entries):
            key = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(2)) + "="
            value = f"{rng.randrange(1000):03d}"
            table.append((self.encode(key), self.encode(value)))
        end = self.encode(";")
        for key, value in table:
            ids += key + value + end
            weights += [RANDOM_WEIGHT] * (len(key) + len(value)) + [0.5]
        while len(ids) <= length:
            key, value = rng.choice(table)
            ids += key + value + end
            weights += [RANDOM_WEIGHT] * len(key) + [2.0] * len(value) + [0.5]
        return Sample(ids[: length + 1], weights[:length])

    def passkey(
        self,
        length: int,
        rng: random.Random,
        text_filler: bool | None = None,
        depth: float | None = None,
        exact: bool = False,
    ) -> Sample:
        """The pass key prompt of `length` tokens, answer included (exact), or shorter and followed by text.

        The filler is the sentence about grass or a piece of text; depth is where the key stands in it, 0 to 1.
        """
        key = "".join(rng.choice("0123456789") for _ in range(KEY_DIGITS))
        start = [settings.BOS_ID] + (self.encode(INTRODUCTION) if exact or rng.random() < 0.75 else [])
        needle = self.encode(" " + NEEDLE.format(key=key))
        answer = self.encode(f" {key}.")
        question = self.encode(QUESTION)
        total = length if exact else rng.randint(min(length, max(80, length * 6 // 10)), length)
        room = total + 1 - len(start) - len(needle) - len(question) - len(answer)
        if room < 0:
            start, room = start[:1], max(0, room + len(start) - 1)
        if text_filler is None:
            text_filler = rng.random() < 0.5
        if text_filler:
            filler = self.window(room, rng) if room else []
        else:
            shift = rng.randrange(len(self.grass))
            filler = (
                (self.grass * (room // len(self.grass) + 2))[shift : shift + room]
                if not exact
                else (self.grass * (room // len(self.grass) + 1))[:room]
            )
        cut = int((rng.random() if depth is None else depth) * len(filler))
        if not text_filler:
            while 0 < cut < len(filler) and filler[cut - 1] != self.period:
                cut -= 1
        ids = start + filler[:cut] + needle + filler[cut:] + question
        first = len(ids) + 1  # after the space
        ids += answer
        weights = [0.3] * (len(ids) - 1)
        weights[first - 1 : first - 1 + KEY_DIGITS] = [ANSWER_WEIGHT] * KEY_DIGITS
        rest = length + 1 - len(ids)
        if rest > 0:
            ids += self.window(rest, rng)
            weights += [1.0] * rest
        return Sample(ids[: length + 1], weights[:length], (first, first + KEY_DIGITS))

    def counting(self, length: int, rng: random.Random) -> Sample:
        """ "7, 10, 13, ...": the first two numbers fix all the others."""
        ids, weights = [settings.BOS_ID], []
        while len(ids) <= length:
            start, step, count = rng.randrange(1000), rng.choice([1, 1, 1, 2, 3, 5, 10]), rng.randint(5, 30)
            numbers = [str(start + i * step) for i in range(count)]
            head = self.encode("Count: " + ", ".join(numbers[:2]))
            tail = self.encode("".join(", " + n for n in numbers[2:]))
            end = self.encode(".\n")
            ids += head + tail + end
            weights += [RANDOM_WEIGHT] * len(head) + [1.0] * len(tail) + [RANDOM_WEIGHT] * len(end)
        return Sample(ids[: length + 1], weights[:length])

    def brackets(self, length: int, rng: random.Random) -> Sample:
        """Balanced strings of four kinds of brackets, one token each; the closing ones can be known."""
        opening, closing = [self.encode(c)[0] for c in "([{<"], [self.encode(c)[0] for c in ")]}>"]
        line = self.encode("\n")
        ids, weights = [settings.BOS_ID], []
        while len(ids) <= length:
            stack: list[int] = []
            for left in range(rng.randint(4, 24) * 2, 0, -1):
                if stack and (len(stack) >= left or rng.random() < 0.45):
                    ids.append(closing[stack.pop()])
                    weights.append(1.0)
                else:
                    stack.append(rng.randrange(4))
                    ids.append(opening[stack[-1]])
                    weights.append(RANDOM_WEIGHT)
            ids += [closing[kind] for kind in reversed(stack)] + line
            weights += [1.0] * len(stack) + [0.5]
        return Sample(ids[: length + 1], weights[:length])

    def draw(self, mixture: dict[str, float], length: int, rng: random.Random) -> Sample:
        """One sample of a task chosen by the mixture's weights."""
        return getattr(self, rng.choices(list(mixture), list(mixture.values()))[0])(length, rng)

    def batch(
        self, mixture: dict[str, float], count: int, length: int, rng: random.Random
    ) -> tuple[np.ndarray, np.ndarray]:
        """ids [count, length + 1] (int64) and weights [count, length] (float32)."""
        samples = [self.draw(mixture, length, rng) for _ in range(count)]
        return (
            np.asarray([s.ids for s in samples], dtype=np.int64),
            np.asarray([s.weights for s in samples], dtype=np.float32),
        )
