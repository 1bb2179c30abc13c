"""LLaMa decoders in files: llama2.c's versions 0, 1 and 2, ternary files of its kin, and safetensors with a config.json.

    network = read(Path("stories260K.bin"))     # a file's module takes whole sequences of the length that the file states
    write(network.module, Path("q80.bin"), version=2, group=64)

Every file is read to the byte: what is missing, left over or of a size that cannot be is a UsageError.
"""

from mico_runner.formats.llama_file.binary import read, write
from mico_runner.formats.llama_file.hugging_face import read as read_hugging_face

__all__ = ["read", "read_hugging_face", "write"]
