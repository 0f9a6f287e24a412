"""Models on a person's pictures, through ONNX Runtime alone."""
