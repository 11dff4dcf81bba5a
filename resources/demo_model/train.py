# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the demo model on the CPU (or on a GPU, with --device cuda).

    python3 train.py [--work FOLDER] [--tokens N] [--workers N] [--quick]

Can be stopped at any moment and started again with the same command: it goes on from WORK/checkpoint.pt, written
every two minutes. The learning rate is constant up to the last quarter of --tokens and then falls to zero, so a run
in progress can be brought to its end early by starting it again with a smaller --tokens. When the budget is used up
the model is exported to WORK/model.

The curriculum: copying alone until the model can do it (the induction heads form), then short samples with many
recall tasks until pass keys are recalled, then the mixture at all lengths. The stages change on the loss of the
answers, not on the number of steps; there is no generalisation to lengths that were not trained.
"""

import os

# Threads that spin at barriers starve each other as soon as anything else runs on the machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import argparse
import json
import math
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

import settings
from model import Llama, export
from tasks import Tasks

WARM_UP_STEPS = 100
DECAY_SHARE = 0.25
PROBE_STEPS = 50
REPORT_STEPS = 100
CHECKPOINT_SECONDS = 120


@dataclass(frozen=True)
class Stage:
    """What is drawn, at which lengths, and the answer loss (task, nats) that ends the stage."""

    mixture: dict[str, float]
    lengths: dict[int, float]
    gate: tuple[str, float] | None = None


STAGES = (
    Stage({"copy": 1.0}, {64: 1.0}, ("copy", 0.7)),
    Stage(
        {"plain_text": 0.20, "passkey": 0.35, "key_value": 0.20, "copy": 0.25}, {128: 1.0}, ("passkey", 0.1)
    ),
    Stage(
        {
            "plain_text": 0.79,
            "passkey": 0.10,
            "key_value": 0.03,
            "copy": 0.04,
            "counting": 0.02,
            "brackets": 0.02,
        },
        {128: 0.15, 256: 0.40, 512: 0.45},
    ),
)
QUICK_STAGES = (
    Stage({"copy": 1.0}, {64: 1.0}, ("copy", 7.0)),
    Stage({"plain_text": 0.6, "passkey": 0.2, "key_value": 0.1, "copy": 0.1}, {64: 0.5, 128: 0.5}),
)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by five Newton-Schulz steps (Jordan et al. 2024), for matrices.

    Matrices of one shape are treated together, which on a CPU is several times faster than one by one.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @staticmethod
    def orthogonal(x: Tensor) -> Tensor:
        tall = x.shape[-2] > x.shape[-1]
        x = (x.mT if tall else x).bfloat16()
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(5):
            gram = x @ x.mT
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        return (x.mT if tall else x).float()

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                directions = []
                for parameter in parameters:
                    state = self.state[parameter]
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                    directions.append(parameter.grad.lerp(state["momentum"], group["momentum"]))
                scale = group["lr"] * math.sqrt(max(1.0, shape[0] / shape[1]))
                for parameter, update in zip(parameters, self.orthogonal(torch.stack(directions))):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)


class Trainer:
    """Everything that a checkpoint holds, and the loop. All workers hold the same model and draw different samples."""

    def __init__(self, work: Path, quick: bool, device: str, worker: int, workers: int) -> None:
        self.work, self.device, self.worker, self.workers = work, device, worker, workers
        self.stages = QUICK_STAGES if quick else STAGES
        self.batch_tokens = 1024 if quick else 4096
        shape = settings.shape_of(quick)
        torch.manual_seed(1)
        self.model = Llama(shape).to(device)
        self.learner = self.loss if quick else torch.compile(self.loss, dynamic=False)
        tokenizer = Tokenizer.from_file(str(work / "model" / "tokenizer.json"))
        self.tasks = Tasks(tokenizer, np.load(work / "train.npy"))
        self.held_out = Tasks(tokenizer, np.load(work / "held_out.npy"))
        self.bytes_per_token = (work / "held_out.txt").stat().st_size / len(self.held_out.text)
        matrices = [p for name, p in self.model.named_parameters() if p.dim() == 2 and "embed" not in name]
        others = [p for name, p in self.model.named_parameters() if p.dim() == 1 or "embed" in name]
        self.optimizers = [
            Muon(matrices, 0.02),
            torch.optim.AdamW(others, 4e-3, (0.9, 0.95), weight_decay=0.0),
        ]
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.step = self.tokens = self.stage = 0
        self.seconds = 0.0

    def loss(self, ids: Tensor, weights: Tensor) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.model(ids[:, :-1].contiguous())
        losses = functional.cross_entropy(
            logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        return (losses * weights.flatten()).sum() / weights.sum()

    def to_device(self, arrays: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(arrays[0]).to(self.device), torch.from_numpy(arrays[1]).to(self.device)

    @torch.no_grad()
    def answer_loss(self, task: str, length: int) -> float:
        """Mean loss of the tokens that the context determines, over fresh held-out samples of one task."""
        ids, weights = self.to_device(self.held_out.batch({task: 1.0}, 16, length, random.Random(self.step)))
        return self.loss(
            ids, (weights >= 1.0).float() if task != "passkey" else (weights >= 2.0).float()
        ).item()

    @torch.no_grad()
    def report(self) -> str:
        generator = random.Random(7)
        length = max(self.stages[self.stage].lengths)
        text, _ = self.to_device(self.held_out.batch({"plain_text": 1.0}, 8192 // length, length, generator))
        bits = (
            self.loss(text, torch.ones_like(text[:, 1:], dtype=torch.float32)).item()
            / math.log(2)
            / self.bytes_per_token
        )
        recalled = [f"{self.recalled(n, 32, generator):.2f}@{n}" for n in sorted({128, length})]
        return f"text {bits:.3f} bits/byte, passkey {' '.join(recalled)}"

    def recalled(self, length: int, count: int, generator: random.Random) -> float:
        """Share of pass keys of which every digit is the most likely next token."""
        right = 0
        for _ in range(0, count, 8):
            samples = [self.held_out.passkey(length, generator, exact=True) for _ in range(8)]
            guesses = self.model(torch.tensor([s.ids[:-1] for s in samples], device=self.device)).argmax(-1)
            for sample, guess in zip(samples, guesses):
                first, last = sample.answer
                right += guess[first - 1 : last - 1].tolist() == sample.ids[first:last]
        return right / count

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "tokens": self.tokens,
            "stage": self.stage,
            "seconds": self.seconds,
        }
        partial = self.work / "checkpoint.part"
        torch.save(state, partial)
        partial.replace(self.work / "checkpoint.pt")

    def load(self) -> None:
        path = self.work / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.stage, self.seconds = (
            state[k] for k in ("step", "tokens", "stage", "seconds")
        )
        self.say(f"goes on from step {self.step}, stage {self.stage}, {self.tokens / 1e6:.2f} M tokens")

    def say(self, line: str) -> None:
        if self.worker == 0:
            print(line, flush=True)

    def share_gradients(self) -> None:
        """Every worker gets the mean of all workers' gradients."""
        if self.workers == 1:
            return
        gradients = [p.grad for p in self.model.parameters()]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, (flat / self.workers).split([g.numel() for g in gradients])):
            gradient.copy_(mean.view_as(gradient))

    def one_step(self, budget: int) -> float:
        stage = self.stages[self.stage]
        factor = min(
            1.0, (self.step + 1) / WARM_UP_STEPS, max(0.0, (budget - self.tokens) / (DECAY_SHARE * budget))
        )
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, self.rates):
            group["lr"] = rate * factor
        # Drawn from the step's number, so that a run that was stopped goes on as if it had not been.
        length = random.Random(self.step).choices(list(stage.lengths), list(stage.lengths.values()))[0]
        generator = random.Random(f"{self.step} {self.worker}")
        batch = self.tasks.batch(stage.mixture, self.batch_tokens // length, length, generator)
        loss = self.learner(*self.to_device(batch))
        loss.backward()
        self.share_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.tokens += self.batch_tokens * self.workers
        return loss.item()

    def run(self, budget: int) -> None:
        """Trains until `budget` tokens have been seen, counted from the very first start."""
        started, last_save = time.monotonic() - self.seconds, time.monotonic()
        mean = None
        while self.tokens < budget:
            loss = self.one_step(budget)
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            self.seconds = time.monotonic() - started
            gate = self.stages[self.stage].gate
            if gate and self.step % PROBE_STEPS == 0:
                reached = self.answer_loss(gate[0], max(self.stages[self.stage].lengths))
                self.say(
                    f"step {self.step} stage {self.stage} {self.tokens / 1e6:.2f} M tokens {self.seconds:.0f} s "
                    f"loss {mean:.3f} {gate[0]} answers {reached:.3f}"
                )
                self.stage += reached < gate[1]
            if self.worker > 0:
                continue
            if self.step % REPORT_STEPS == 0 and self.stage > 0:
                self.say(
                    f"step {self.step} stage {self.stage} {self.tokens / 1e6:.2f} M tokens {self.seconds:.0f} s "
                    f"loss {mean:.3f} {self.report()}"
                )
            if time.monotonic() - last_save > CHECKPOINT_SECONDS:
                self.save()
                last_save = time.monotonic()
        if self.worker > 0:
            return
        self.save()
        self.model.to("cpu")
        export(self.model, self.work / "model")
        (self.work / "training.json").write_text(
            json.dumps(
                {
                    "parameters": sum(p.numel() for p in self.model.parameters()),
                    "steps": self.step,
                    "tokens": self.tokens,
                    "seconds": round(self.seconds),
                    "device": self.device,
                }
            )
            + "\n"
        )
        print(
            f"{self.tokens / 1e6:.2f} M tokens in {self.seconds:.0f} s; model written to {self.work / 'model'}"
        )


def work_on(worker: int, arguments: argparse.Namespace, meeting_point: str) -> None:
    """One worker process, from the checkpoint to the end of the budget."""
    torch.set_num_threads(arguments.threads)
    if arguments.workers > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting_point}", rank=worker, world_size=arguments.workers
        )
    trainer = Trainer(arguments.work, arguments.quick, arguments.device, worker, arguments.workers)
    trainer.load()
    trainer.run(arguments.tokens or (120_000 if arguments.quick else 24_000_000))


def main() -> None:
    options = settings.parser(__doc__.split("\n")[0])
    options.add_argument(
        "--tokens", type=int, help="budget of training tokens (default 24 million, quick 120 thousand)"
    )
    options.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that share the work; two beat two threads on a "
        "machine that does other things as well, because they wait for each other once a step",
    )
    options.add_argument("--threads", type=int, default=1, help="threads of each worker")
    options.add_argument("--device", default="cpu")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        meeting_point = str(Path(folder) / "meeting")
        if arguments.workers == 1:
            work_on(0, arguments, meeting_point)
        else:
            torch.multiprocessing.spawn(work_on, (arguments, meeting_point), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
