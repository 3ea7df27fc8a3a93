"""Sessions of onnxruntime on a processor or on CUDA, and what CUDA needs."""
