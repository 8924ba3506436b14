"""Trained networks as files that other programs run: ONNX, OpenVINO, TorchScript, int8."""
