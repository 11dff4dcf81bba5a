# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the tokenizer on the training text and turns the text into arrays of token ids.

    python3 build_tokenizer.py [--work FOLDER] [--quick]

Byte-level BPE: every input has tokens. Digits are always tokens of their own, so that a pass key of five digits is
five tokens wherever it stands. Writes WORK/model/tokenizer.json, tokenizer_config.json and train.npy, held_out.npy.
"""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import corpus
import settings
import tasks


def build(texts: list[str], vocab: int) -> Tokenizer:
    """Trains the BPE; ids 0 and 1 are the special tokens, then the 256 bytes, then merges in their order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=settings.SPECIAL_TOKENS,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{settings.BOS} $A",
        pair=f"{settings.BOS} $A {settings.BOS} $B",
        special_tokens=[(settings.BOS, settings.BOS_ID)],
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": settings.BOS,
                "eos_token": settings.EOS,
                "model_max_length": context,
                "clean_up_tokenization_spaces": False,
            },
            indent=2,
        )
        + "\n"
    )


def encode(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Documents of a corpus file as one array: each document is followed by the end token."""
    ids = []
    documents = text.split(corpus.SEPARATOR)
    for first in range(0, len(documents), 64):
        for encoding in tokenizer.encode_batch(documents[first : first + 64], add_special_tokens=False):
            ids.extend(encoding.ids)
            ids.append(settings.EOS_ID)
    return np.asarray(ids, dtype=np.uint16)


def main() -> None:
    arguments = settings.parser(__doc__.split("\n")[0]).parse_args()
    work, shape = arguments.work, settings.shape_of(arguments.quick)
    train = (work / "train.txt").read_text(encoding="utf-8")
    # The sentences of the synthetic tasks take part, so that "pass key" does not fall apart into letters.
    documents = train.split(corpus.SEPARATOR)
    sentences = [tasks.PASSKEY_FRAME_TEXT * (4 if arguments.quick else 400)]
    tokenizer = build(documents[::2] + sentences, shape.vocab)
    save(tokenizer, work / "model", shape.context)
    for name in ("train", "held_out"):
        text = (work / f"{name}.txt").read_text(encoding="utf-8")
        ids = encode(tokenizer, text)
        np.save(work / f"{name}.npy", ids)
        print(
            f"{name}: {len(text.encode())} bytes, {len(ids)} tokens, {len(text.encode()) / len(ids):.3f} bytes a token"
        )


if __name__ == "__main__":
    main()
