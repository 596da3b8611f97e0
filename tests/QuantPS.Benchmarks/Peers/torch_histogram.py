"""Peer for the observer benchmark: PyTorch's HistogramObserver, one thread. Reads commands from standard input, a line each:
   load PATH   a float32 .npy file, [batches, elements]
   run         a fresh observer sees every batch; answers the seconds that took
"""
import sys
import time
import warnings

warnings.filterwarnings('ignore')
import numpy as np
import torch
from torch.ao.quantization.observer import HistogramObserver

torch.set_num_threads(1)
batches = []
print('torch', torch.__version__, flush=True)
for line in sys.stdin:
    command = line.split(maxsplit=1)
    if command[0] == 'load':
        batches = [torch.from_numpy(b.copy()) for b in np.load(command[1].strip())]
        print('loaded', len(batches), flush=True)
    elif command[0] == 'run':
        observer = HistogramObserver()
        start = time.perf_counter()
        for b in batches:
            observer(b)
        print(repr(time.perf_counter() - start), flush=True)
