"""TensorFlow Lite files (.tflite): `read` makes a torch module of one, and executes nothing of it.

    network = read(Path("kws.tflite"))
    graph = mico_runner.graph.capture(network.module, network.input_shapes[0], "kws")

`contents` reads the file's tables and checks them, one file for each kind of operator makes torch calls of them, and `assemble` puts
these together. Which operators are read: docs/reference/tflite.md.
"""

from mico_runner.formats.tflite_file.assemble import read

__all__ = ["read"]
