#!/usr/bin/python3
"""quantize_per_channel / dequantize with float zero points (per_channel_affine_float_qparams) from the real torch 1.13.

qint32 is left out: Debian's build ends with an illegal instruction there.

  python3 float_qparams.py [OUTDIR=..]"""
import sys, os; HERE = os.path.dirname(os.path.abspath(__file__)); sys.path.insert(0, HERE)
import numpy as np, torch, golden
def main():
    rng = np.random.default_rng(31); rows = []
    for k in range(24):
        dt = ['quint8', 'qint8'][k % 2 ^ k % 3 % 2]; sh = (int(rng.integers(1, 6)), int(rng.integers(1, 6)), 5); ax = int(rng.integers(0, 3)); n = sh[ax]
        s = (10 ** rng.uniform(-4, 1, n)).astype('f4'); z = (rng.normal(size=n) * 100).astype('f4')
        if k % 2: s = (2.0 ** rng.integers(-5, 3, n)).astype('f4'); z = (rng.integers(-200, 200, n) / 2).astype('f4')      # ties
        x = (rng.integers(-400, 400, sh) / 2).astype('f4') * (s.reshape([-1 if i == ax else 1 for i in range(3)]) if k % 2 else f32(.01))
        q = torch.quantize_per_channel(torch.from_numpy(x.astype('f4')), torch.from_numpy(s), torch.from_numpy(z), ax, getattr(torch, dt))
        assert q.qscheme() == torch.per_channel_affine_float_qparams
        rows.append(dict(id='f%02d' % k, dtype=dt, axis=ax, x=golden.T(x.astype('f4')), scale=[float(v) for v in s], zp=[float(v) for v in z], q=golden.T(q.int_repr().numpy()), dq=golden.T(q.dequantize().numpy())))
    golden.dump('float_qparams_torch113.json', dict(golden.META, family='quantize_per_channel / dequantize with float zero points'), rows)
f32 = np.float32
if __name__ == '__main__': golden.OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..'); main()
