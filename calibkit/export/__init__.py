"""Fitted calibrators as SQL, ONNX or plain code."""
