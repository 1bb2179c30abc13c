"""Operators of ONNX as calls of torch, by kind; `translation` finds them."""
