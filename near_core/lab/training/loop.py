"""What every training stage shares: batches drawn in the background, checkpoints, the best weights by the dev set."""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ... import files
from ..bench import lock
from ..options import as_json, option

Sample = TypeVar("Sample")
Score = tuple[float, dict[str, float]]

BACKBONE = 0.5  # of the rate, for features that were learned from far more pictures than ours
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # what x86 and ARM processors call it


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every stage that learns is told."""

    out: Path = option("the run's folder; a run that is there goes on", "folder")
    minutes: float = option("how long it learns: processor time of all threads, on a GPU the clock's", "minutes", 30.0)
    rate: float = option("the largest learning rate", "of AdamW, a step", 1e-3)
    warm_up: int = option("over how many steps the rate rises", "steps", 100)
    threads: int = option("how many threads torch takes", "threads", 2)
    check_every: float = option("how often the dev set is asked", "minutes", 5.0)
    save_every: float = option("how often the state is saved", "minutes", 4.0)

    @property
    def is_new(self) -> bool:
        """Whether there is no state to go on from."""
        return not (self.out / "state.pt").exists()


def rate_at(config: RunConfig, step: int, minutes: float) -> float:
    """The learning rate: it warms up and falls like a cosine over the run. minutes: since the run began."""
    fall = 0.5 * (1 + math.cos(math.pi * min(minutes / config.minutes, 1)))
    return config.rate * min(1, (step + 1) / config.warm_up) * (0.02 + 0.98 * fall)


def set_up_torch(config: RunConfig) -> None:
    """The same initial weights for every run, and as many threads as it may take."""
    torch.manual_seed(0)
    torch.set_num_threads(config.threads)


def background(make: Callable[[], Sample], depth: int = 4) -> Iterator[Sample]:
    """What make() returns, again and again, by a thread that is up to `depth` ahead of the trainer. It ends with the
    iterator; an error in make() is raised here."""
    ready: queue.Queue = queue.Queue(depth)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            try:
                ready.put((make(), None))
            except Exception as error:
                ready.put((None, error))
                return

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            made, error = ready.get()
            if error is not None:
                raise error
            yield made
    finally:
        ended.set()
        while not ready.empty():  # lets a thread go on that waits for room
            ready.get_nowait()


def has_bfloat16(device: str = "cpu") -> bool:
    """Whether the device multiplies bfloat16 itself. A processor with AVX2 only takes 7 times as long as in float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device != "cpu" or any(torch.cpu.get_capabilities().get(name, False) for name in BFLOAT16)


def autocast(device: str = "cpu") -> torch.autocast:
    """A context: products in bfloat16 on a device that multiplies it itself, everything in float32 on others."""
    return torch.autocast(device, torch.bfloat16, enabled=has_bfloat16(device))


def join_others() -> tuple[int, int]:
    """Rank and number of the processes that train together: those `torchrun` started, else 0 and 1."""
    if not dist.is_torchelastic_launched():
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


@dataclass
class Run:
    """A training run in a folder: config.json says what it is, state.pt is what it goes on from, best.safetensors the
    best weights so far, log.jsonl every check.

    Started by torchrun, every process draws batches of its own and all step with the mean of their gradients; the first
    one keeps the time, checks and saves.
    """

    config: RunConfig
    network: nn.Module
    step: int = 0
    minutes: float = 0.0
    best: float = -math.inf
    optimizer: torch.optim.Optimizer = field(init=False)
    average: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.rank, self.world = join_others()
        self.folder = self.config.out
        self.folder.mkdir(parents=True, exist_ok=True)
        trained = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        groups = [{"params": [p for name, p in trained if ("backbone." in name) == known], "share": share}
                  for known, share in ((False, 1.0), (True, BACKBONE))]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], self.config.rate, betas=(0.9, 0.99),
                                           weight_decay=1e-3)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        if not self.config.is_new:
            self.resume()
        if self.world > 1:
            self.share_weights()
        if self.rank == 0:
            files.write(self.folder / "config.json", json.dumps(as_json(self.config), indent=1))

    def resume(self) -> None:
        """Goes on from state.pt."""
        kept = torch.load(self.folder / "state.pt", weights_only=True)
        self.network.load_state_dict(kept["network"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.average = kept["average"]
        self.step, self.minutes, self.best = kept["step"], kept["minutes"], kept["best"]

    def share_weights(self) -> None:
        """Every process goes on from the first one's weights."""
        for parameter in self.network.parameters():
            weights = parameter.detach().contiguous()
            dist.broadcast(weights, 0)
            parameter.data.copy_(weights)

    def average_gradients(self) -> None:
        """Every process takes the mean of all gradients, and the first one's clock."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        every = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained])
        dist.all_reduce(every)
        for parameter, part in zip(trained, every.split([p.numel() for p in trained])):
            parameter.grad = (part / self.world).view_as(parameter)
        clock = torch.tensor([self.minutes], dtype=torch.float64, device=every.device)
        dist.broadcast(clock, 0)
        self.minutes = float(clock)

    def update(self, loss: Tensor) -> None:
        """One step of the optimizer and of the moving average of the weights.

        A batch whose gradients are not finite teaches nothing: one such step would leave no weight that is a number.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.world > 1:
            self.average_gradients()
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.config, self.step, self.minutes) * group["share"]
        if not torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0).isfinite():
            running = {key: self.average[key] for key, _ in self.network.named_buffers() if key in self.average}
            self.network.load_state_dict(running, strict=False)  # what it counted of that batch is lost, too
            return
        self.optimizer.step()
        self.step += 1
        keep = min(0.998, self.step / (self.step + 20))
        state = self.network.state_dict()
        moving = [key for key, value in state.items() if value.dtype.is_floating_point]
        get_ema_multi_avg_fn(keep)([self.average[key] for key in moving], [state[key] for key in moving], self.step)

    def save(self) -> None:
        """The whole state, written beside and then moved in place."""
        with files.writing(self.folder / "state.pt") as part:
            torch.save({"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                        "average": self.average, "step": self.step, "minutes": self.minutes, "best": self.best}, part)

    def keep_best(self, score: float, **report: float) -> None:
        """Writes best.safetensors when score, larger is better, beats every one before."""
        line = {"step": self.step, "minutes": round(self.minutes, 2), "score": score, **report}
        with open(self.folder / "log.jsonl", "a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        if score > self.best:
            self.best = score
            with files.writing(self.folder / "best.safetensors") as part:
                save_file({k: v.contiguous() for k, v in self.average.items()}, part)

    def train(self, loss: Callable[[], Tensor], check: Callable[[], Score]) -> None:
        """Steps until the config's minutes of processor time are over; checks with the averaged weights.

        loss: of the next batch. check: a score of the dev set, larger is better, and what else is worth a line in the
        log. Processor time, not the clock's: a run that shares its machine learns as much as one that has it alone. On
        a GPU the clock's.
        """
        saved = checked = time.time()
        clock = time.process_time if next(self.network.parameters()).device.type == "cpu" else time.perf_counter
        last = clock()
        while self.minutes < self.config.minutes:
            while lock.wanted():  # somebody measures time on this machine
                time.sleep(1)
            self.network.train()
            made = loss()
            self.minutes += (clock() - last) / 60
            last, now = clock(), time.time()
            self.update(made)
            if self.rank == 0 and now - saved > 60 * self.config.save_every:
                self.save()
                saved = now
            if self.rank == 0 and (now - checked > 60 * self.config.check_every or self.minutes >= self.config.minutes):
                self.check(check)
                checked, last = time.time(), clock()
        if self.rank == 0:
            self.save()

    def check(self, check: Callable[[], Score]) -> None:
        """Scores the averaged weights, and keeps them if they are the best."""
        kept = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        with torch.no_grad():
            score, report = check()
        self.network.load_state_dict(kept)
        self.keep_best(score, **report)


def start_from(network: nn.Module, path: Path | None) -> None:
    """Loads the weights that fit by name and shape; the others keep their initial values. None loads nothing."""
    if path is None:
        return
    kept = load_file(path)
    own = network.state_dict()
    network.load_state_dict({k: v for k, v in kept.items() if k in own and own[k].shape == v.shape}, strict=False)
