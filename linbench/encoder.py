"""The public name of `linbench.attention.encoder`."""

from linbench.attention.encoder import Encoder, EncoderLayer, MaskedLanguageModel

__all__ = ["Encoder", "EncoderLayer", "MaskedLanguageModel"]
