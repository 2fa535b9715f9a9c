"""Plug-ins that do what plug-ins do: each builder fails in a way of its own."""

import ctypes
import os
import signal
import sys
import time

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x, key_padding_mask=None):
        return self.act(x)


def _builder(act):
    return lambda config: [Attention(act) for _ in range(config.num_layers)]


def raises_building(config):
    raise ValueError("no such width")


def _raise(x):
    raise IndexError("off by one")


def _hang(x):
    time.sleep(3600)


def _print(x):
    print("loud " * 1000)
    sys.stdout.flush()
    os.write(1, b"louder\n")
    return x.clone()


raises_running = _builder(_raise)
wrong_shape = _builder(lambda x: x[:, :-1])
not_a_tensor = _builder(lambda x: [x])
nan = _builder(lambda x: x / 0 * 0)
prints = _builder(_print)
exits = _builder(lambda x: sys.exit(3))
leaves = _builder(lambda x: os._exit(0))
aborts = _builder(lambda x: os.abort())
segfaults = _builder(lambda x: ctypes.string_at(0))
hangs = _builder(_hang)
terabytes = _builder(lambda x: torch.empty(1 << 44).fill_(1))
stopped = _builder(lambda x: os.kill(os.getpid(), signal.SIGTERM))
realtime = _builder(lambda x: os.kill(os.getpid(), 40))
fickle = _builder(torch.randn_like)


def impostor(config):
    """Claims to be exact attention, and is not."""
    from linbench.attention.vanilla import vanilla

    modules = vanilla(config)
    modules[0].kernel = lambda q, k, v, mask, dropout: v
    return modules
