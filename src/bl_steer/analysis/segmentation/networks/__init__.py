"""The networks behind one interface: micrographs (B, 1, H, W) to logits (B, n_phases, H, W).

`build_network` makes one by name. Each says its `stride` (H and W must be multiples of it) and its
`halo` (pixels around a tile that its output depends on), so that tiles can be cut without seams.
"""

from __future__ import annotations

from bl_steer.analysis.segmentation.networks.network import NETWORKS, build_network

__all__ = ["NETWORKS", "build_network"]
