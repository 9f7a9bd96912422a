"""UniReg written as plain functions of a state dict, a second implementation for the tests."""

import itertools

import torch
import torch.nn.functional as F

TYPE_IDS = {"inter": 0, "intra": 1}


REGION_IDS = {"chest": 0, "abdomen": 1, "head": 2, "liver": 3, "cardiac": 4, "brain": 5}


def conv(state, name, x):
    return F.conv3d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)


def read_displaced(volume, displacement):
    """Read `volume` at i + displacement(i) by explicit gathers of the eight neighbours, clamped."""
    batch, channels, *shape = volume.shape
    axes = [torch.arange(n, dtype=volume.dtype) for n in shape]
    position = torch.stack(torch.meshgrid(*axes, indexing="ij")) + displacement
    total = torch.zeros_like(volume)
    for corner in itertools.product((0, 1), repeat=3):
        flat = torch.zeros(batch, *shape, dtype=torch.long)
        weight = torch.ones(batch, *shape, dtype=volume.dtype)
        for axis, n in enumerate(shape):
            at = position[:, axis].clamp(0, n - 1)
            below = at.floor().clamp(max=max(n - 2, 0))
            flat = flat * n + (below + corner[axis]).long().clamp(max=n - 1)
            weight = weight * ((at - below) if corner[axis] else 1 - (at - below))
        for sample in range(batch):
            read = volume[sample].reshape(channels, -1)[:, flat[sample].reshape(-1)]
            total[sample] += read.view(channels, *shape) * weight[sample]
    return total


def upsampled(flow):
    """Return twice the voxels per axis and twice the values; the outer voxel centres stay."""
    for axis in (2, 3, 4):
        n = flow.shape[axis]
        at = torch.linspace(0, n - 1, 2 * n, dtype=torch.float64)
        below = at.floor().long().clamp(max=max(n - 2, 0))
        above = (below + 1).clamp(max=n - 1)
        view = [-1 if k == axis else 1 for k in range(5)]
        t = (at - below).to(flow.dtype).view(view)
        flow = flow.index_select(axis, below) * (1 - t) + flow.index_select(axis, above) * t
    return 2 * flow


def pyramid(state, image):
    maps = []
    for k in (1, 2, 3, 4):
        if k > 1:
            batch, channels, x, y, z = image.shape
            image = image.reshape(batch, channels, x // 2, 2, y // 2, 2, z // 2, 2)
            image = image.mean(dim=(3, 5, 7))
        image = F.leaky_relu(conv(state, f"encoder.block{k}.main", image), 0.1)
        maps.append(image)
    return maps


def pass_level(state, level, flow, moving, fixed, conditions):
    name = f"decoder{level}"
    x = torch.cat([read_displaced(moving, flow), fixed], dim=1)
    x = F.leaky_relu(conv(state, f"{name}.Conv1.main", x), 0.1)
    x = F.leaky_relu(x + conv(state, f"{name}.Conv2.main", x), 0.1)
    x = F.leaky_relu(x + conv(state, f"{name}.Conv3.main", x), 0.1)
    x = conv(state, f"{name}.Conv4", x)

    head = f"{name}.dynamic_flow"
    batch, width = x.shape[:2]
    groups = next(g for g in (8, 4, 2, 1) if width % g == 0)
    grouped = x.reshape(batch, groups, -1)
    mean = grouped.mean(dim=2, keepdim=True)
    spread = grouped.var(dim=2, unbiased=False, keepdim=True)
    normal = ((grouped - mean) / (spread + 1e-5).sqrt()).view_as(x)
    scale, shift = (
        state[f"{head}.gap.0.{part}"].view(1, -1, 1, 1, 1) for part in ("weight", "bias")
    )
    pooled = (normal * scale + shift).clamp(min=0).mean(dim=(2, 3, 4))
    weight = state[f"{head}.controller.weight"][:, :, 0, 0, 0]
    numbers = torch.cat([pooled, conditions], dim=1) @ weight.T + state[f"{head}.controller.bias"]

    residuals = []
    for sample in range(batch):
        rest, weights, biases = numbers[sample], [], []
        for out, inp in ((8, width), (8, 8), (3, 8)):
            weights.append(rest[: out * inp].view(out, inp))
            rest = rest[out * inp :]
        for out in (8, 8, 3):
            biases.append(rest[:out])
            rest = rest[out:]
        assert len(rest) == 0
        y = x[sample]
        for k in range(3):
            y = torch.einsum("oi,ixyz->oxyz", weights[k], y) + biases[k].view(-1, 1, 1, 1)
            y = F.leaky_relu(y, 0.2) if k < 2 else y
        residuals.append(y)
    residual = torch.stack(residuals)
    return read_displaced(flow, residual) + residual


def one_hot(types, regions):
    rows = torch.zeros(len(types), 8)
    for row, type, region in zip(rows, types, regions, strict=True):
        row[TYPE_IDS[type]] = 1
        row[2 + REGION_IDS[region]] = 1
    return rows


def second_rpn(state, image, conditions):
    moving, fixed = pyramid(state, image[:, :1]), pyramid(state, image[:, 1:])
    flow = torch.zeros(len(image), 3, *moving[3].shape[2:])
    for level in (4, 3, 2, 1):
        flow = upsampled(flow) if level < 4 else flow
        flow = pass_level(state, level, flow, moving[level - 1], fixed[level - 1], conditions)
    return flow


def pearson(image, flow):
    while flow.shape[2:] != image.shape[2:]:
        flow = upsampled(flow)
    pair = torch.stack([read_displaced(image[:, :1], flow).flatten(), image[:, 1:].flatten()])
    return float(torch.corrcoef(pair.double())[0, 1])


def second_iirpn(state, image, conditions, min_gain):
    """Return the flow of one pair, the passes kept per level and the smallest decision margin."""
    moving, fixed = pyramid(state, image[:, :1]), pyramid(state, image[:, 1:])
    flow = torch.zeros(1, 3, *moving[3].shape[2:])
    counts, margin = [], 1.0
    for level in (4, 3, 2, 1):
        flow = upsampled(flow) if level < 4 else flow
        reached, kept = pearson(image, flow), 0
        while kept < 10:
            candidate = pass_level(
                state, level, flow, moving[level - 1], fixed[level - 1], conditions
            )
            score = pearson(image, candidate)
            margin = min(margin, abs(score - reached - min_gain))
            if score - reached < min_gain:
                break
            flow, reached, kept = candidate, score, kept + 1
        counts.append(kept)
    return flow, counts, margin
