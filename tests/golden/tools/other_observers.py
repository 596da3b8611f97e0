#!/usr/bin/python3
"""Observers without a range, and quint4x2, from the real torch 1.13.

  python3 other_observers.py [OUTDIR=..]

Families by the id's first letters: fixed FixedQParamsObserver, none observers that have no parameters (the text of their error), q4 observers of
quint4x2 and the packed bytes of its tensors."""
import sys, os, warnings; HERE = os.path.dirname(os.path.abspath(__file__)); sys.path.insert(0, HERE); warnings.filterwarnings('ignore')
import numpy as np, torch, golden
from torch.ao.quantization import observer as o
def calc(m): s, z = m.calculate_qparams(); return dict(scale=[float(v) for v in s], zp=[float(v) if z.is_floating_point() else int(v) for v in z])
def main():
    rng = np.random.default_rng(44); rows = []; x = torch.from_numpy(rng.normal(size=(3, 4)).astype('f4'))
    for k, (s, z, d) in enumerate([(1 / 256, 0, 'quint8'), (2 / 256, 128, 'quint8'), (0.1, 3, 'quint8'), (1 / 3, -5, 'qint8'), (1e-12, 255, 'quint8')]):
        m = o.FixedQParamsObserver(s, z, dtype=getattr(torch, d)); m(x); rows.append(dict(id='fixed-%d' % k, args=dict(scale=s, zero_point=z, dtype=d), **calc(m)))
    for name, m in (('range_0to1', o.default_fixed_qparams_range_0to1_observer()), ('range_neg1to1', o.default_fixed_qparams_range_neg1to1_observer())):
        m(x); rows.append(dict(id='fixed-' + name, args=dict(scale=float(m.scale), zero_point=int(m.zero_point), dtype='quint8'), **calc(m)))
    for kind in ('Placeholder', 'Noop', 'ReuseInput', 'Recording'):
        m = getattr(o, kind + 'Observer')(); y = m(x); assert y is x
        try: m.calculate_qparams(); raise SystemExit('no error from ' + kind)
        except Exception as e: r = dict(id='none-' + kind, error=str(e))
        if kind == 'Recording': m(x + 1); r['tensors'] = [golden.T(t.numpy()) for t in m.get_tensor_value()]; r['batches'] = [golden.T(x.numpy()), golden.T((x + 1).numpy())]
        rows.append(r)
    for k in range(12):
        scheme = ['per_tensor_affine', 'per_tensor_symmetric', 'per_channel_affine_float_qparams'][k % 3]; n = lambda: (rng.normal(size=(3, 3 + k)) * 10.0 ** rng.uniform(-2, 2) + rng.normal()).astype('f4')
        xs = [n() for _ in range(2)]; kind = 'PerChannelMinMax' if k % 3 == 2 else ['MinMax', 'Histogram'][k // 6]
        a = dict(dtype=torch.quint4x2, qscheme=getattr(torch, scheme)); m = getattr(o, kind + 'Observer')(**a)
        for v in xs: m(torch.from_numpy(v))
        r = dict(id='q4-%s-%02d' % (kind, k), kind=kind, args=dict(dtype='quint4x2', qscheme=scheme, reduce_range=False), batches=[golden.T(v) for v in xs], **calc(m))
        if kind == 'PerChannelMinMax':
            s, z = m.calculate_qparams(); q = torch.quantize_per_channel(torch.from_numpy(xs[0]), s, z, 0, torch.quint4x2)
            r.update(packed=golden.T(q.int_repr().numpy()), dq=golden.T(q.dequantize().numpy()))
        rows.append(r)
    golden.dump('other_observers_torch113.json', dict(golden.META, family='observers without a range; quint4x2'), rows)
if __name__ == '__main__': golden.OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..'); main()
