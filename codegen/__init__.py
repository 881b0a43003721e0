"""From a quantized model to C: plan, render, inspect, verify."""
