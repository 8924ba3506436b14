"""What learns: a network with its optimizer, half precision and running average."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Generic

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from lightpose.errors import ConfigError
from lightpose.runtime.torch import Normalise
from lightpose.train.distributed import World
from lightpose.train.feature_distillation import FeatureStudent, FeatureTeacher, feature_loss
from lightpose.train.run_config import RunConfig
from lightpose.train.task import B, Task

__all__ = ["Learner"]

Tensors = tuple[Tensor, ...] | list[Tensor]


class Learner(Generic[B]):
    """A network in training. `network` is the one on the device, `answer` the one to evaluate and keep.

    The former has convolutions to a teacher's feature maps beside it, if there is such a teacher.
    """

    def __init__(self, config: RunConfig, task: Task[B], world: World, device: torch.device) -> None:
        self._config, self._task, self._world, self._device = config, task, world, device
        torch.manual_seed(config.seed)
        self._half = _half_precision(config.amp, device)
        network, teacher = task.network(), config.feature_distillation.teacher
        self._teacher = FeatureTeacher(teacher, task.spec.input_hw, device, self._half) if teacher else None
        if self._teacher is not None:
            network = FeatureStudent(network, self._teacher.channels)
        if config.optim.sync_bn:
            if device.type != "cuda":
                raise ConfigError("optim.sync_bn needs GPUs; set it to false on a CPU")
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network: nn.Module = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._frozen = [_freeze(_bare(self.network), name) for name in config.optim.frozen]
        if not any(weight.requires_grad for weight in self.network.parameters()):
            raise ConfigError("optim.frozen names the whole network, so that nothing would be trained; name less")
        self._normalise = Normalise(task.spec).to(device)
        self._trained = self._wrap()
        self.restart()

    @property
    def answer(self) -> nn.Module:
        """The running average of the weights, if there is one, else the network."""
        return _bare(self.network if self._ema is None else self._ema.module)

    def restart(self, weights: dict[str, Tensor] | None = None) -> None:
        """Begin a stage: other weights if given, a fresh optimizer, a fresh running average."""
        optim = self._config.optim
        if weights is not None:
            _bare(self.network).load_state_dict(weights)
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        self._optimizer = kinds[optim.optimizer](
            self.network.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, fused=self._device.type == "cuda"
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._half == torch.float16)
        average = _running_average(optim.ema)
        self._ema = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True) if optim.ema else None

    def parts(self) -> dict[str, Any]:
        """All that has a state, by name."""
        parts: dict[str, Any] = {"network": self.network, "optimizer": self._optimizer, "scaler": self._scaler}
        return {**parts, "ema": self._ema} if self._ema is not None else parts

    def step(self, batches: Sequence[B], rate: float) -> Tensor:
        """One step of the optimizer on a batch that comes in parts. Returns this process's part of the batch's loss."""
        self.network.train()
        for module in self._frozen:
            module.eval()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        for number, batch in enumerate(batches):
            with self._alone(number < len(batches) - 1):
                loss = self._loss(batch) * batch.fraction
                # DDP averages gradients over processes, where the fractions of a batch add up
                self._scaler.scale(loss * self._world.size).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        if self._config.optim.clip_norm:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self._config.optim.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._ema is not None:
            self._ema.update_parameters(self.network)
        return total

    def _loss(self, batch: B) -> Tensor:
        images = self._normalise(batch.images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, self._half, enabled=self._half != torch.float32):
            outputs = self._trained(images)
        if self._teacher is None:
            return self._task.loss(outputs, batch)
        features = feature_loss(outputs.maps, self._teacher(images))
        return self._task.loss(outputs.answer, batch) + self._config.feature_distillation.weight * features

    def _wrap(self) -> nn.Module:
        """The network as it is called in training: spread over processes, compiled."""
        trained = self.network
        if self._world.size > 1:
            devices = [self._device.index] if self._device.type == "cuda" else None
            # of depthwise weights, whose dimension of one channel has a stride that means nothing
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            trained = DistributedDataParallel(trained, devices)
        return torch.compile(trained) if self._config.compile else trained  # type: ignore[return-value]

    def _alone(self, unfinished: bool) -> contextlib.AbstractContextManager[None]:
        """Keep gradients to this process while a batch has more parts to come."""
        if unfinished and isinstance(self._trained, DistributedDataParallel):
            return self._trained.no_sync()
        return contextlib.nullcontext()


def _bare(network: nn.Module) -> nn.Module:
    """The network itself, without what only helps it learn."""
    return network.network if isinstance(network, FeatureStudent) else network


def _freeze(network: nn.Module, name: str) -> nn.Module:
    """The part of a network of that name, its weights fixed."""
    try:
        return network.get_submodule(name).requires_grad_(False)
    except AttributeError as error:
        known = ", ".join(name for name, _ in network.named_children())
        raise ConfigError(f"optim.frozen names {name!r}, which the network does not have; it has {known}") from error


def _half_precision(amp: str, device: torch.device) -> torch.dtype:
    """The type that the network computes in; float32 for none."""
    if amp == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else torch.float32
    if amp == "fp16" and device.type == "cpu":
        raise ConfigError("amp = 'fp16' needs a GPU; use 'auto' or 'off' on a CPU")
    return {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]


def _running_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An update of averaged tensors for AveragedModel; young averages follow faster, so that they forget the start."""

    @torch.no_grad()
    def update(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, share)
        else:  # batch norm's counters
            torch._foreach_copy_(averages, values)

    return update
