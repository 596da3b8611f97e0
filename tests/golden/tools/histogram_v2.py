#!/usr/bin/python3
"""Expected values of PyTorch 2.x's HistogramObserver, from ref.py (NumPy; equal to libtorch 2.10's operators in 450 of 450 cases).

  python3 histogram_v2.py [OUT=../histogram_v2_ref.json]

A case: args of the observer, batches (tensors as in golden.py), then min, max, the histogram's non-zero bins (index, value), the range that
the search chose (lo, hi), scale and zp; min to hi are absent when nothing finite was seen.  'outer': a last batch, given by two
vectors: float32 a[i] + b[j] (clipping only pays when many different values lie inside the range, so these are the cases in which the search works)."""
import sys, os, json, base64; HERE = os.path.dirname(os.path.abspath(__file__)); sys.path.insert(0, HERE)
import numpy as np, ref
f32 = np.float32; inf = np.inf; DT = {'int32': 'i4', 'float32': 'f4'}
def T(a): a = np.ascontiguousarray(a); return dict(dt=DT[str(a.dtype)], sh=list(a.shape), d=base64.b64encode(a.tobytes()).decode())

def batches(kind, rng):
    """the batches of one kind of history"""
    n = lambda k, s=1.0, m=0.0: (rng.normal(size=k) * s + m).astype('f4')
    if kind == 'normal': return [n(60) for _ in range(3)]
    if kind == 'relu': return [np.maximum(n((2, 3, 10)), 0) for _ in range(3)]
    if kind == 'growing': return [n(50, 10.0 ** k) for k in range(4)]
    if kind == 'exploding': return [n(50, 1e-4), n(50, 1e3), n(50, 1e6)]
    if kind == 'shrinking': return [n(50, 10.0 ** -k) for k in range(3)]
    if kind == 'drifting': return [n(40, 1, 3 * k) for k in range(5)]
    if kind == 'heavy': return [(rng.standard_t(1.5, 120)).astype('f4') for _ in range(2)]
    if kind == 'outlier': return [np.append(n(150), f32(60)).astype('f4')]
    if kind == 'negative': return [-np.abs(n(40)) - f32(.5) for _ in range(3)]
    if kind == 'infinite': x = n(40); x[3] = inf; y = n(40, 2); y[[1, 7]] = [-inf, inf]; return [x, n(30), y]
    if kind == 'all infinite': return [np.full(5, inf, 'f4'), np.array([inf, -inf], 'f4')]
    if kind == 'infinite first': return [np.full(5, -inf, 'f4'), n(50)]
    if kind == 'constant': return [np.full((4, 5), rng.normal(), 'f4') for _ in range(2)]
    if kind == 'same constant': c = f32(rng.normal()); return [np.full(7, c, 'f4'), np.full(9, c, 'f4')]
    if kind == 'constant then more': return [np.full(11, .25, 'f4'), n(50), np.full(5, 9, 'f4')]
    if kind == 'zeros': return [np.zeros((2, 8), 'f4')]
    if kind == 'zeros then more': return [np.zeros(16, 'f4'), np.abs(n(50)), n(20, 3)]
    if kind == 'single': return [np.array([v], 'f4') for v in rng.normal(size=6)]
    if kind == 'empty': return [np.zeros((0, 3), 'f4'), n(30), np.zeros(0, 'f4'), n(30, 5)]
    if kind == 'only empty': return [np.zeros((2, 0), 'f4')]
    if kind == 'far from zero': return [n(50, .2, 1e6), n(50, .5, 1e6), n(50, .3, 1e6 + 3)]
    if kind == 'tiny': return [n(50, 1e-20), n(50, 3e-20), n(50, 1e-19)]
    if kind == 'huge': return [n(50, 1e20), n(50, 3e20)]
    if kind == 'integers': return [rng.integers(-9, 10, 80).astype('f4') * 2 ** k for k in range(3)]
    if kind == 'long': return [n(400), np.maximum(n(400, 2), 0)]
    if kind.startswith('many'): return [n(30, .5)]
    raise ValueError(kind)
def outer(kind, rng):
    """two vectors whose outer sum is a large batch"""
    n = lambda k, s=1.0: (rng.normal(size=k) * s).astype('f4')
    if kind == 'many normal': return n(180), n(170, .3)
    if kind == 'many heavy': return rng.laplace(size=200).astype('f4'), rng.laplace(size=150).astype('f4')
    if kind == 'many skewed': return np.exp(n(300)), np.abs(n(120, .1))
    if kind == 'many outliers': return np.append(n(200), f32(9)), n(160, .5)
    if kind == 'many small': return (rng.standard_t(4, 250) * 1e-3).astype('f4'), (rng.standard_t(4, 150) * 1e-3).astype('f4')
    return None
KINDS = ['normal', 'relu', 'growing', 'exploding', 'shrinking', 'drifting', 'heavy', 'outlier', 'negative', 'infinite', 'all infinite', 'infinite first', 'constant', 'same constant',
         'constant then more', 'zeros', 'zeros then more', 'single', 'empty', 'only empty', 'far from zero', 'tiny', 'huge', 'integers', 'long', 'many normal', 'many heavy', 'many skewed', 'many outliers', 'many small']

def main(out):
    rng = np.random.default_rng(210); rows = []
    for k in range(3 * len(KINDS)):
        kind = KINDS[k % len(KINDS)]
        a = dict(dtype=str(rng.choice(['quint8', 'qint8'])), qscheme=str(rng.choice(['per_tensor_affine', 'per_tensor_symmetric'])), reduce_range=bool(rng.random() < .4))
        bins = [2048, int(rng.choice([37, 100, 300, 1000])), 2048][k // len(KINDS)]
        if rng.random() < .2: a['quant_min'], a['quant_max'] = [(0, 127), (0, 254), (0, 15)][int(rng.integers(0, 3))] if a['dtype'] == 'quint8' else [(-127, 127), (-8, 7)][int(rng.integers(0, 2))]
        o = ref.Histogram(bins=bins, version='2.x', **a); xs = batches(kind, rng)
        for x in xs: o.forward(x)
        ab = outer(kind, rng)
        if ab: o.forward(ab[0][:, None] + ab[1])
        s, z = o.calc(); r = dict(id='%s-%02d' % (kind.replace(' ', '-'), k), args=dict(a, bins=bins), batches=[T(x) for x in xs], **(dict(outer=[T(v) for v in ab]) if ab else {}))
        if not (o.mn == inf and o.mx == -inf):
            lo, hi = o.search(); i = np.nonzero(o.h)[0]
            r.update(min=float(o.mn), max=float(o.mx), index=T(i.astype('i4')), value=T(o.h[i]), lo=float(lo), hi=float(hi))
        rows.append(dict(r, scale=[float(v) for v in s], zp=[int(v) for v in z]))
    meta = dict(source='ref.py Histogram(version 2.x)', numpy=np.__version__, family='HistogramObserver batches -> state, chosen range, scale, zero point')
    with open(out, 'w') as f: f.write('{"meta":' + json.dumps(meta) + ',"cases":[\n' + ',\n'.join(json.dumps(r, separators=(',', ':')) for r in rows) + '\n]}\n')
    print('%s %d cases %d bytes' % (out, len(rows), os.path.getsize(out)))

if __name__ == '__main__': main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', 'histogram_v2_ref.json'))
