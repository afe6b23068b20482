"""Self-attention over the places of a feature map. Zhang et al. 2019, SAGAN (arXiv 1805.08318), section 3."""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class SelfAttention(nn.Module):
    """x + gamma * attention(x) on feature maps [N, C, H, W]; gamma starts at 0.

    Keys and queries have C/8 channels and values C/2, keys and values are pooled to half the size, and the scores are
    not divided by a root, all as in the authors' code. The softmax is written out, because the fused kernels of
    scaled_dot_product_attention have no second derivative, which gradient penalties need.
    """

    def __init__(self, channels: int):
        super().__init__()
        small, middle = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, small, 1, bias=False)
        self.key = nn.Conv2d(channels, small, 1, bias=False)
        self.value = nn.Conv2d(channels, middle, 1, bias=False)
        self.out = nn.Conv2d(middle, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [N, C/8, places]
        key = max_pool2d(self.key(x), 2, ceil_mode=True).flatten(2)  # [N, C/8, places/4]
        value = max_pool2d(self.value(x), 2, ceil_mode=True).flatten(2)  # [N, C/2, places/4]
        share = (query.transpose(1, 2) @ key).softmax(dim=2)  # [N, places, places/4]
        seen = (value @ share.transpose(1, 2)).unflatten(2, x.shape[2:])  # [N, C/2, H, W]
        return x + self.gamma * self.out(seen)
