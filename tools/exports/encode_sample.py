"""Writes rows of floats and their blocks as the gguf package encodes them, for internal/checkpoint/gguf/testdata/gguf/encode.safetensors.

usage: python encode_sample.py OUT.safetensors
"""
import sys
import numpy as np
from gguf import GGMLQuantizationType as Q, quants
from safetensors.numpy import save_file

rng = np.random.default_rng(20260401)
x = (rng.standard_normal((40, 64)) * 0.05).astype(np.float32)
x[0] = 0
x[1] = 0.25                                                            # one value everywhere
x[2] = np.tile([1, -1, 0.5, -0.5], 16)                                 # two elements of the largest magnitude
x[3] = np.arange(64) - 31.5                                            # halves
x[4] = np.linspace(-127, 127, 64)                                      # a scale of 1
x[5, :32], x[5, 32:] = 6e-8, -6e-8                                     # scales below half precision
x[6] = rng.standard_normal(64) * 60000 / 4                             # large scales
x[7] = np.abs(x[7])
x[8] = -np.abs(x[8])
x[9, 5] = 40                                                           # an outlier
x[10:20] = (x[10:20].view(np.uint32) & 0xffff0000).view(np.float32)    # bf16 values
out = {"f32": x}
for t in (Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1):
    b = x.astype(np.float16).view(np.uint8) if t == Q.F16 else quants.quantize(x, t).view(np.uint8)
    out[t.name.lower()] = np.ascontiguousarray(b.reshape(len(x), -1))
save_file(out, sys.argv[1])
