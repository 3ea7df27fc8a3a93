"""The same weights run by PyTorch, as the peer of onnxruntime in `seqtile bench`."""
