#!/usr/bin/python3
"""Expected values of ONNX Runtime's calibrators and parameters, from ort_ref.py (NumPy; equal to ORT's own Python).

  python3 ort_calibrators.py [OUT=../ort_calibrators_ref.json]

NumPy 2 and NumPy 1 promote float32 scalars differently, which moves bin edges by an ulp: the values here follow NumPy 2 (NEP 50), which NumPy 1.24
has behind a switch. Families by the id's first letters: mm minmax, hi histogram calibrators, qp parameters of a range, bi int32 bias and
weight-scale adjustment. Batches are tensors as in golden.py; each batch of a histogram is a collect() of its own; 'collect' of a minmax case is the
number of batches in one collect() (0: all).
A standard deviation is "nan" where rounding makes the variance negative, as in ORT."""
import sys, os, json, base64, warnings; HERE = os.path.dirname(os.path.abspath(__file__)); sys.path.insert(0, HERE); warnings.filterwarnings('ignore')
import numpy as np, ort_ref
if hasattr(np, '_set_promotion_state') and '--numpy1' not in sys.argv: np._set_promotion_state('weak')
f32 = np.float32; DT = {'int32': 'i4', 'int64': 'i8', 'float32': 'f4', 'float64': 'f8'}
def T(a): a = np.ascontiguousarray(a); return dict(dt=DT[str(a.dtype)], sh=list(a.shape), d=base64.b64encode(a.tobytes()).decode())

def history(kind, rng):
    n = lambda k, s=1.0, m=0.0: (rng.normal(size=k) * s + m).astype('f4')
    if kind == 'normal': return [n(150) for _ in range(3)]
    if kind == 'relu': return [np.maximum(n(150), 0) for _ in range(3)]
    if kind == 'growing': return [n(80, 2.0 ** k) for k in range(4)]
    if kind == 'shrinking': return [n(80, 2.0 ** -k) for k in range(3)]
    if kind == 'drifting': return [n(60, 1, 2 * k) for k in range(4)]
    if kind == 'heavy': return [rng.standard_t(2, 150).astype('f4') for _ in range(3)]
    if kind == 'constant': c = f32(rng.normal()); return [np.full(20, c), np.full(30, c)]
    if kind == 'zeros': return [np.zeros(30, 'f4')]
    if kind == 'zeros then more': return [np.zeros(30, 'f4'), n(60), n(60, 3)]
    if kind == 'one batch': return [n(400)]
    if kind == 'integers': return [rng.integers(-9, 10, 80).astype('f4') for k in range(3)]
    if kind == 'negative': return [-np.abs(n(90)) - f32(.5) for _ in range(3)]
    if kind == 'far': return [n(50, .01, 1000), n(50, .01, 1000.02)]
    raise ValueError(kind)
KINDS = ['normal', 'relu', 'growing', 'shrinking', 'drifting', 'heavy', 'constant', 'zeros', 'zeros then more', 'one batch', 'integers', 'negative', 'far']

def minmax(rng):
    for k in range(24):
        avg, sym, pc, collect = bool(k % 2), bool(k // 2 % 2), k % 8 == 7, int(rng.choice([0, 0, 3, 5]))
        count = int(rng.integers(1, 12)) if k % 3 else int(rng.integers(20, 60))
        xs = [(rng.normal(size=(2, 3, 4) if pc else int(rng.integers(2, 9))) * 10.0 ** rng.uniform(-2, 2)).astype('f4') for _ in range(count)]
        m = ort_ref.MinMax(sym, avg, 0.01, pc); step = collect or count
        if pc and not avg: step = collect = 0; step = count
        for i in range(0, count, step): r = m.collect(xs[i:i + step])
        yield dict(id='mm-%02d' % k, averaging=avg, symmetric=sym, per_channel=pc, collect=collect, batches=[T(x) for x in xs], min=[float(v) for v in np.atleast_1d(r[0])], max=[float(v) for v in np.atleast_1d(r[1])])
def histograms(rng):
    k = 0
    for method in ('entropy', 'percentile', 'distribution'):
        for kind in KINDS:
            for sym in ((False, True) if method == 'percentile' else (False,)):
                bins = int(rng.choice([128, 64, 100, 37] if kind != 'one batch' else [512]))
                nq, p = int(rng.choice([16, 32, 128 if bins >= 128 else 16])), float(rng.choice([99.999, 99.9, 99.0, 95.0, 50.0]))
                if method == 'entropy': bins = int(rng.choice([128, 256, 129]))
                if method == 'distribution': bins = 512
                h = ort_ref.Hist(method, sym, bins, nq, p); xs = history(kind, rng)
                for x in xs: h.collect(x)
                lo, hi = (h.e[0], h.e[-1]) if method == 'distribution' else h.range(); i = np.nonzero(h.h)[0]
                r = dict(id='hi-%s-%s-%02d' % (method, kind.replace(' ', '-'), k), method=method, symmetric=sym, bins=bins, quantized_bins=nq, percentile=p, batches=[T(np.asarray(x, 'f4')) for x in xs],
                         size=int(h.h.size), index=T(i.astype('i4')), count=T(h.h[i].astype('i8')), edges=T(np.asarray(h.e, 'f4')), dtype=str(np.asarray(h.e).dtype), lo=float(lo), hi=float(hi))
                if method == 'distribution': a, s = h.avg_std(); r.update(avg=float(a), std=float(s) if s == s else 'nan')
                k += 1; yield r
TYPES = ['uint8', 'int8', 'uint16', 'int16', 'uint4', 'int4']
def qparams(rng):
    for k in range(96):
        t = TYPES[k % 6]; sym, red = bool(k // 6 % 2), bool(k // 12 % 2); lo, hi = sorted((rng.normal(size=2) * 10.0 ** rng.uniform(-3, 3)).astype('f4'))
        mrr = float(f32(rng.choice([1e-4, .5, 20.]))) if k % 5 == 0 else None
        if k % 13 == 0: lo = hi = f32(0)
        if k % 17 == 0: lo, hi = f32(0), f32(1e-37)
        if k % 19 == 0: lo, hi = f32(-3), f32(-3)
        if k % 7 == 0: hi = f32(hi - lo); lo = f32(-hi / 255 * 63.5)                        # near ties of the zero point
        zp, s = ort_ref.scale_zp(lo, hi, *ort_ref.qrange(t, red, sym), sym, mrr)
        x = (rng.normal(size=6) * max(abs(hi), abs(lo), f32(1e-3)) * 1.5).astype('f4')
        yield dict(id='qp-%02d' % k, dtype=t, symmetric=sym, reduce=red, mrr=mrr, lo=float(lo), hi=float(hi), scale=float(s), zp=zp, x=T(x), q=T(ort_ref.quantize(x, s, zp, t).astype('i4')))
def bias(rng):
    for k in range(30):
        pc = bool(k % 2); n = int(rng.integers(1, 6)); xs = float(f32(10 ** rng.uniform(-6, 0))); ws = (10 ** rng.uniform(-9, -1, n if pc else 1)).astype('f4'); b = (rng.normal(size=n) * 10.0 ** rng.uniform(-2, 3)).astype('f4')
        adjusted = ort_ref.adjust_weight_scale(b, xs, ws, pc); q0, s0 = ort_ref.bias_int32(b, xs, ws); q, s = ort_ref.bias_int32(b, xs, adjusted)
        yield dict(id='bi-%02d' % k, per_channel=pc, xs=xs, ws=[float(v) for v in ws], b=T(b), q=T(q0.astype('i4')), adjusted=[float(v) for v in adjusted], adjusted_q=T(q.astype('i4')))

def main(out):
    rng = np.random.default_rng(64); rows = [r for family in (minmax, histograms, qparams, bias) for r in family(rng)]
    meta = dict(source='ort_ref.py', numpy=np.__version__ + ' with the promotion of NumPy 2', family="ONNX Runtime's calibrators and parameters")
    with open(out, 'w') as f: f.write('{"meta":' + json.dumps(meta) + ',"cases":[\n' + ',\n'.join(json.dumps(r, separators=(',', ':')) for r in rows) + '\n]}\n')
    print('%s %d cases %d bytes' % (out, len(rows), os.path.getsize(out)))
if __name__ == '__main__': a = [v for v in sys.argv[1:] if v[0] != '-']; main(a[0] if a else os.path.join(HERE, '..', 'ort_calibrators_ref.json'))
