# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the model card from evaluation.json and puts the model where the program looks for it.

    python3 card.py [--work FOLDER] [--out FOLDER]

Every number of the card comes from evaluation.json, which is copied along.
"""

import json
import shutil
from pathlib import Path
from statistics import mean

import settings
import tasks

MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "evaluation.json",
)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def compression_table(measured: dict) -> str:
    names = [
        "model",
        *(n for n in measured if n.startswith("model, ")),
        "5-gram, tokens",
        "5-gram, bytes",
        "zstd -19, training text as prefix",
        "zstd -19",
    ]
    return table(["method", "bits per byte"], [[n, f"{measured[n]:.3f}"] for n in names])


def recall_table(rows: list[dict]) -> str:
    return table(
        ["prompt, tokens", 'filler "The grass is green ..."', "filler: held-out text"],
        [
            [str(r["tokens"]), *(f"{r[f]:.1%} ({r[f + '_bytes']} bytes)" for f in ("grass", "text"))]
            for r in rows
        ],
    )


def quantisation_tables(rows: list[dict]) -> str:
    plain = rows[0]
    cell = lambda r: f"{r['bits_per_byte']:.4f} / {r['passkey']:.0%}"
    find = lambda kind, layer, bits: next(
        cell(r) for r in rows if (r["kind"], r["layer"], r["bits"]) == (kind, layer, bits)
    )
    bits = sorted({r["bits"] for r in rows if r["bits"]}, reverse=True)
    head = [f"{b} bits" for b in bits]
    whole = table(
        ["quantised, all layers", *head], [[k, *(find(k, None, b) for b in bits)] for k in ("K", "V", "KV")]
    )
    layers = sorted({r["layer"] for r in rows if r["layer"] is not None})
    single = table(
        ["quantised alone", *head],
        [[f"{k} of layer {i}", *(find(k, i, b) for b in bits)] for k in ("K", "V") for i in layers],
    )
    return f"Unquantised: {cell(plain)}.\n\n{whole}\n\n{single}"


def page_table(page: dict) -> str:
    bits = sorted({row["bits"] for row in page["rows"] if row["bits"]}, reverse=True)
    nats = {(row["kind"], row["bits"]): row["nats"] for row in page["rows"]}
    head = ["nats", "unquantised", *(f"{b} bits" for b in bits)]
    return table(
        head,
        [
            [kind, *(f"{n:.2f}" for n in (nats["", None], *(nats[kind, b] for b in bits)))]
            for kind in ("K", "V", "KV")
        ],
    )


def statistics_table(measured: dict) -> str:
    def spread(kind: str, name: str, pattern: str = "{:.2f}") -> str:
        values = [v for text in measured.values() for v in text[kind][name]]
        return (
            f"{pattern.format(mean(values))} ({pattern.format(min(values))} to {pattern.format(max(values))})"
        )

    def sinks(name: str) -> str:
        values = [v for text in measured.values() for v in text[name]]
        return f"{mean(values):.1%} ({min(values):.1%} to {max(values):.1%})"

    rows = []
    for kind, other in (
        ("K", "a few fixed channels stand far out in big models (KIVI, KVQuant)"),
        ("K before RoPE", "stand out more than after RoPE (KVQuant)"),
        ("V", "no fixed outlier channels (KIVI)"),
    ):
        rows.append(
            [f"outlier ratio of {kind}: largest channel RMS / median", spread(kind, "outlier_ratio"), other]
        )
    for kind, other in (
        ("K", "three small models: 0.9 to 1.7"),
        ("K before RoPE", "three small models: 0.5"),
        ("V", "three small models: 0.5 (deltas hurt)"),
    ):
        rows.append(
            [f"variance of {kind} / of its token deltas", spread(kind, "delta_variance_ratio"), other]
        )
    for kind in ("K", "V"):
        rows.append(
            [
                f"variance of {kind} / of deltas to the anchor of 10 tokens",
                spread(kind, "anchor_variance_ratio"),
                "Llama-7B and 13B: 2.4 to 2.9 (CacheGen, figure 3)",
            ]
        )
    for kind, other in (("K", "three small models: 4.0 to 4.5"), ("V", "three small models: 4.3 to 4.7")):
        rows.append(
            [f"entropy of {kind}, 32 bins, one table a layer, bits", spread(kind, "entropy_one_table"), other]
        )
    for kind, other in (
        ("K", "three small models: 2.9 to 3.9"),
        ("K before RoPE", "three small models: 2.2 to 3.5"),
        ("V", "three small models: 4.1 to 4.4"),
    ):
        rows.append(
            [f"entropy of {kind}, 32 bins, per channel, bits", spread(kind, "entropy_per_channel"), other]
        )
    for kind in ("K", "V"):
        rows.append(
            [
                f"values of {kind} beyond 6 sigma",
                spread(kind, "far_outlier_share", "{:.3%}"),
                "KVQuant sets the largest 1% of each vector apart",
            ]
        )
    rows.append(
        [
            "attention on the first token",
            sinks("sink_mass_first_token"),
            "big models: a large share in most layers (StreamingLLM)",
        ]
    )
    rows.append(
        [
            "attention on the first four tokens",
            sinks("sink_mass_first_four"),
            "as above; sinks also sit beyond position 0",
        ]
    )
    return table(
        ["statistic (mean over layers and texts, range)", "this model", "what is reported elsewhere"], rows
    )


def sources_table(sources: list[dict]) -> str:
    rows = []
    for source in sources:
        names = list(source["packages"])
        versions = sorted(set(source["packages"].values()))
        label = (
            names[0]
            if len(names) == 1
            else ", ".join(names) if len(names) < 3 else f"{names[0]} ... {names[-1]} ({len(names)} packages)"
        )
        rows.append(
            [
                label,
                ", ".join(versions),
                source["kind"],
                f"{source['train_bytes'] / 1e6:.2f}",
                source["licence"],
            ]
        )
    return table(["Debian package", "version", "kind", "MB", "licence of the text"], rows)


def sample_blocks(samples: list[dict]) -> str:
    return "\n\n".join("```\n[" + s["prompt"] + "]" + s["continuation"].rstrip() + "\n```" for s in samples)


def card(evaluation: dict, config: dict) -> str:
    training = evaluation["training"]
    template = (settings.HERE / "card_template.md").read_text(encoding="utf-8")
    return template.format(
        parameters=f"{training['parameters'] / 1e6:.2f}",
        digest=evaluation["weights_sha256"],
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        feed_forward=config["intermediate_size"],
        query_heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        context=config["max_position_embeddings"],
        theta=config["rope_theta"],
        vocab=config["vocab_size"],
        bytes_per_token=f"{evaluation['bytes_per_token']:.2f}",
        steps=training["steps"],
        tokens=f"{training['tokens'] / 1e6:.1f}",
        minutes=round(training["seconds"] / 60),
        device=training["device"],
        seed=evaluation["seed"],
        held_out=f"{evaluation['compression']['held_out_bytes']:,}",
        compression=compression_table(evaluation["compression"]),
        recall=recall_table(evaluation["recall"]),
        passkey_prompt=tasks.INTRODUCTION
        + f" {tasks.GRASS} ... "
        + tasks.NEEDLE.format(key="54189")
        + f" {tasks.GRASS} ..."
        + tasks.QUESTION
        + " 54189",
        recall_samples=evaluation["recall"][0]["samples"],
        agreement="The same answers come" if evaluation["generation_agrees"] else "OTHER answers come",
        quantisation=quantisation_tables(evaluation["quantisation"]),
        page_tokens=evaluation["page"]["tokens"],
        page_bytes=evaluation["page"]["bytes"],
        page=page_table(evaluation["page"]),
        statistics=statistics_table(evaluation["statistics"]),
        sources=sources_table(evaluation["sources"]),
        samples=sample_blocks(evaluation["samples"]),
    )


def main() -> None:
    options = settings.parser(__doc__.split("\n")[0])
    options.add_argument("--out", type=Path, default=settings.MODEL_DIR)
    arguments = options.parse_args()
    model = arguments.work / "model"
    evaluation = json.loads((model / "evaluation.json").read_text())
    if evaluation["weights_sha256"] != settings.digest(model / "model.safetensors"):
        raise SystemExit(f"{model / 'evaluation.json'} is about other weights: run evaluate.py again")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in MODEL_FILES:
        shutil.copyfile(model / name, arguments.out / name)
    (arguments.out / "README.md").write_text(
        card(evaluation, json.loads((model / "config.json").read_text())), encoding="utf-8"
    )
    print(f"card and model written to {arguments.out}")


if __name__ == "__main__":
    main()
