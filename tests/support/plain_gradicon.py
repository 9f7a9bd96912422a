"""GradICON written as plain functions of a state dict, a second implementation for the tests."""

import torch
import torch.nn.functional as F


def plain_unet(state, prefix, moving, fixed, training=False):
    def get(name):
        return state[prefix + name]

    x = torch.cat([moving, fixed], 1)
    skips = []
    for i in range(5):
        skips.append(x)
        y = F.conv3d(
            F.leaky_relu(x, 0.01), get(f"downConvs.{i}.weight"), get(f"downConvs.{i}.bias"), 2, 1
        )
        pooled = F.avg_pool3d(x, 2, ceil_mode=True)
        zeros = pooled.new_zeros(len(x), y.shape[1] - pooled.shape[1], *pooled.shape[2:])
        x = y + torch.cat([zeros, pooled], 1)
    for i in reversed(range(5)):
        y = F.conv_transpose3d(
            F.leaky_relu(x, 0.01), get(f"upConvs.{i}.weight"), get(f"upConvs.{i}.bias"), 2, 1
        )
        y = y + F.interpolate(x[:, : y.shape[1]], scale_factor=2, mode="trilinear")
        y = F.batch_norm(
            y,
            get(f"batchNorms.{i}.running_mean"),
            get(f"batchNorms.{i}.running_var"),
            get(f"batchNorms.{i}.weight"),
            get(f"batchNorms.{i}.bias"),
            training,
        )
        skip = skips[i]
        y = y[:, :, : skip.shape[2], : skip.shape[3], : skip.shape[4]]
        x = torch.cat([y, skip], 1)
    return F.conv3d(x, get("lastConv.weight"), get("lastConv.bias"), padding=1) / 10


def plain_points(shape):
    axes = [torch.linspace(0, 1, n) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)[None]


def plain_read(image, points):
    return F.grid_sample(image, 2 * points - 1, padding_mode="border", align_corners=True)


def plain_add(points, displacement):
    return points + displacement.movedim(1, -1).flip(-1)


def plain_register(state, moving, fixed):
    """Return the points of the whole network on the images' grid."""
    halves = [moving, fixed], [F.avg_pool3d(i, 2, ceil_mode=True) for i in (moving, fixed)]
    quarters = [F.avg_pool3d(image, 2, ceil_mode=True) for image in halves[1]]
    prefixes = (
        "netPhi.netPhi.net.netPhi.net.net.",
        "netPhi.netPhi.net.netPsi.net.",
        "netPhi.netPsi.net.",
        "netPsi.net.",
    )
    fields = [plain_unet(state, prefixes[0], *quarters)]
    for prefix, (m, f) in zip(prefixes[1:], (halves[1], halves[0], halves[0]), strict=True):
        points = plain_points(m.shape[2:])
        for field in reversed(fields):
            points = plain_add(points, plain_read(field, points))
        fields.append(plain_unet(state, prefix, plain_read(m, points), f))
    points = plain_points(moving.shape[2:])
    for field in reversed(fields):
        points = plain_add(points, plain_read(field, points))
    return points
