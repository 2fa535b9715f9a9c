"""The public name of `linbench.attention.peers`: `--impl lucidrains=linbench.peers:lucidrains`."""

from linbench.attention.peers import Peer, TorchAttention, lucidrains, mha, tatp22

__all__ = ["Peer", "TorchAttention", "lucidrains", "mha", "tatp22"]
