"""How training pictures are varied: before they are resized (`distort`), and as the network's input (`augment`).

Whatever is drawn comes from one generator and is drawn for a whole batch, so that a picture is varied alike however
many processes share the batch.
"""

from __future__ import annotations

import torch
from torch import nn
from torchvision.transforms import v2

ERASE = 0.25
"""Share of the pictures in which a rectangle is erased."""
GRAY = 127
"""What erased rectangles are filled with: the middle of 0..255, which EfficientNet-Lite's scaling makes 0."""


def distort(
    pictures: torch.Tensor,
    generator: torch.Generator,
    part: slice = slice(None),
    batch_size: int | None = None,
) -> torch.Tensor:
    """Change each picture by one transformation at random, of random strength, and erase a rectangle in some.

    TrivialAugmentWide (Müller and Hutter 2021, arXiv 2103.10158) and random erasing (Zhong et al. 2017, arXiv
    1708.04896), as torchvision has them, each picture with random numbers of its own.

    Args:
        pictures: uint8 [b, h, w, 1 or 3].
        generator: of the seeds of the pictures.
        part: which pictures of a batch these are, where other processes hold the rest.
        batch_size: pictures in the whole batch; None where these are all of it.

    Returns:
        uint8 of the same shape.
    """
    change = v2.Compose([v2.TrivialAugmentWide(), v2.RandomErasing(ERASE, value=GRAY)])
    seeds = torch.randint(1 << 62, (batch_size or len(pictures),), generator=generator)[part].tolist()
    state = torch.get_rng_state()
    changed = []
    for picture, seed in zip(pictures.permute(0, 3, 1, 2), seeds, strict=True):
        torch.default_generator.manual_seed(seed)  # transforms draw from the global one; a GPU's stays as it is
        changed.append(change(picture))
    torch.set_rng_state(state)
    return torch.stack(changed).permute(0, 2, 3, 1)


def augment(
    x: torch.Tensor,
    shift: int,
    mirror: bool,
    generator: torch.Generator,
    part: slice = slice(None),
    batch_size: int | None = None,
) -> torch.Tensor:
    """Shift every picture by its own offset (edges filled with its border) and mirror half of them.

    Args:
        x: [b, c, h, w].
        shift: largest offset, in pixels of x.
        mirror: whether to mirror.
        generator: of the offsets and of who is mirrored.
        part: which pictures of a batch x is, where other processes hold the rest. Numbers are drawn for all of them.
        batch_size: pictures in the whole batch; None where x is all of it.
    """
    b, _, h, w = x.shape
    drawn = batch_size or b
    if shift:
        padded = nn.functional.pad(x, (shift,) * 4, mode="replicate")
        dy, dx = torch.randint(0, 2 * shift + 1, (2, drawn), generator=generator)[:, part].to(x.device)
        rows = (dy[:, None] + torch.arange(h, device=x.device))[:, :, None]  # [b, h, 1]
        columns = (dx[:, None] + torch.arange(w, device=x.device))[:, None, :]  # [b, 1, w]
        picture = torch.arange(b, device=x.device)[:, None, None]
        x = padded[picture, :, rows, columns].permute(0, 3, 1, 2)  # [b, c, h, w]
    if mirror:
        mirrored = torch.rand(drawn, generator=generator)[part].to(x.device) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x.contiguous(memory_format=torch.channels_last)
