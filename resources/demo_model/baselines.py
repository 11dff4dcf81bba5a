# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model has to beat in bits per byte: zstd -19 and interpolated 5-gram models."""

import subprocess
from pathlib import Path

import numpy as np


def zstd_bytes(path: Path, prefix: Path | None = None) -> int:
    """Size of the file compressed with `zstd -19`, alone or as the continuation of another text."""
    command = ["zstd", "-19", "-c", "-q", str(path)]
    if prefix is not None:
        command[2:2] = ["--long=27", f"--patch-from={prefix}"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout)


class NGram:
    """Interpolated modified Kneser-Ney (Chen and Goodman 1998) over symbols below 2**bits, by sorted arrays."""

    def __init__(self, symbols: np.ndarray, order: int, vocabulary: int) -> None:
        self.order, self.vocabulary = order, vocabulary
        self.bits = int(vocabulary - 1).bit_length()
        assert order * self.bits <= 64
        self.levels = []
        keys, counts = np.unique(self._windows(symbols, order), return_counts=True)
        for length in range(order, 0, -1):
            self.levels.append(self._level(keys, counts))
            # The level below counts in how many contexts a shorter gram occurs, not how often.
            keys, counts = np.unique(
                keys & np.uint64((1 << self.bits * (length - 1)) - 1), return_counts=True
            )
        self.levels.reverse()

    def _windows(self, symbols: np.ndarray, length: int) -> np.ndarray:
        result = np.zeros(len(symbols) - length + 1, dtype=np.uint64)
        for i in range(length):
            result = (result << np.uint64(self.bits)) | symbols[i : len(symbols) - length + 1 + i].astype(
                np.uint64
            )
        return result

    def _level(self, keys: np.ndarray, counts: np.ndarray) -> dict:
        n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(np.float64).clip(1)
        y = n[0] / (n[0] + 2 * n[1])
        discount = np.array([0.0] + [np.clip(i - (i + 1) * y * n[i] / n[i - 1], 0.1, i) for i in (1, 2, 3)])
        taken = discount[np.minimum(counts, 3)]
        contexts, first = np.unique(keys >> np.uint64(self.bits), return_index=True)
        return {
            "keys": keys,
            "kept": counts - taken,
            "contexts": contexts,
            "totals": np.add.reduceat(counts, first).astype(np.float64),
            "free": np.add.reduceat(taken, first),
        }

    @staticmethod
    def _find(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = np.searchsorted(table, wanted).clip(max=len(table) - 1)
        return at, table[at] == wanted

    def bits_of(self, symbols: np.ndarray) -> float:
        """Code length of the sequence in bits; the first order - 1 symbols see what context there is."""
        probability = np.full(len(symbols), 1.0 / self.vocabulary)
        for length, level in enumerate(self.levels, 1):
            grams = self._windows(symbols, length)
            at, known = self._find(level["contexts"], grams >> np.uint64(self.bits))
            where, present = self._find(level["keys"], grams)
            kept = np.where(present, level["kept"][where], 0.0)
            lower = probability[length - 1 :]
            probability[length - 1 :] = np.where(
                known, (kept + level["free"][at] * lower) / level["totals"][at], lower
            )
        return float(-np.log2(probability).sum())
