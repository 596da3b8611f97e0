#!/usr/bin/python3
"""Golden cases of PyTorch's eager quantized operators, from the real torch 1.13 (engines qnnpack and onednn), as compact JSON.

  python3 ops.py [OUT] [--n 1] [--seed 30]      --n multiplies the number of cases: --n 40 for a large corpus

One case a line: id, op, engine, p (the operator's arguments), x (list of inputs), y. A quantized tensor is
{"dt": "u1|i1", "sh": shape, "d": base64 of the bytes, "s": scale, "z": zero point}, row-major; "cl": true says that PyTorch
had it in channels-last memory. Every expected value comes from torch, run on one thread with the AVX2 kernels.
Convolutions on onednn run in a process of their own each: torch 1.13 caches descriptors without the output zero point.
A case that the engine refuses is not written; how many were is printed."""
import sys, os, json, base64, argparse, warnings; warnings.filterwarnings('ignore')
os.environ['ATEN_CPU_CAPABILITY'] = 'avx2'
import numpy as np, torch
import torch.nn.functional as F
torch.set_num_threads(1)
f32 = np.float32; DT = {'uint8': 'u1', 'int8': 'i1', 'float32': 'f4'}; Q = torch.ops.quantized
LO, HI = {'u1': 0, 'i1': -128}, {'u1': 255, 'i1': 127}

def enc(a):
    a = np.ascontiguousarray(a); return dict(dt=DT[str(a.dtype)], sh=list(a.shape), d=base64.b64encode(a.tobytes()).decode())
def encq(t, cl=False):
    r = enc(t.int_repr().contiguous().numpy()); r.update(s=float(f32(t.q_scale())), z=int(t.q_zero_point()))
    if cl: r['cl'] = True
    return r
def mk(q, s, z, cl=False):
    t = torch._make_per_tensor_quantized_tensor(torch.from_numpy(np.ascontiguousarray(q)), float(s), int(z))
    return t.contiguous(memory_format=torch.channels_last if t.dim() == 4 else torch.channels_last_3d) if cl else t

class Maker:
    def __init__(self, seed): self.rng = np.random.default_rng(seed); self.rows = []; self.refused = {}
    def scale(self, lo=-3, hi=0): return f32(10 ** self.rng.uniform(lo, hi))
    def zp(self, dt):
        return int(self.rng.choice([LO[dt], HI[dt] - 1, 0, int(self.rng.integers(LO[dt], HI[dt]))]))
    def ints(self, dt, *sh): return self.rng.integers(LO[dt], HI[dt] + 1, sh).astype(dt)
    def one(self, dt, sh, s=None, cl=False): return mk(self.ints(dt, *sh), self.scale() if s is None else s, self.zp(dt), cl)
    def add(self, op, engine, run, xs, p=None, cl=False, fork=False, **more):
        torch.backends.quantized.engine = engine
        try: y = forked(run) if fork else encq(run())
        except Exception as e:
            self.refused.setdefault((op, engine, str(e).split('\n')[0][:90]), []).append(1); return
        self.rows.append(dict(id='%s-%s-%d' % (op, engine, len(self.rows)), op=op, engine=engine, p=p or {}, x=[encq(x, cl) for x in xs], **more, y=y))

def forked(run):
    """The result of a function that has a process to itself."""
    r, w = os.pipe(); pid = os.fork()
    if pid == 0:
        try: out = json.dumps(encq(run()))
        except Exception as e: out = json.dumps(dict(error=str(e)))
        with os.fdopen(w, 'w') as h: h.write(out)
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as h: out = json.loads(h.read())
    os.waitpid(pid, 0)
    if 'error' in out: raise RuntimeError(out['error'])
    return out

def every_input(m, dt, s):
    """All 256 integers: 64-aligned, so that each meets the vector kernel; then some that do not."""
    v = np.arange(LO[dt], HI[dt] + 1).astype(dt)
    return mk(np.concatenate([v, m.ints(dt, 37)]), s, m.zp(dt))

def elementwise(m):
    r = m.rng
    for dt in ('u1', 'i1'):
        for e in ('qnnpack', 'onednn'):
            s = f32(r.choice([m.scale(-2.5, -.5), 1 / 256, 1 / 64, 1 / 32, 8 / 255, 6 / 255])); x = every_input(m, dt, s)
            m.add('sigmoid', e, lambda: torch.sigmoid(x), [x])
            m.add('tanh', e, lambda: torch.tanh(x), [x])
            m.add('hardsigmoid', e, lambda: F.hardsigmoid(x), [x])
            m.add('relu', e, lambda: torch.relu(x), [x])
            m.add('relu6', e, lambda: Q.relu6(x), [x])
            lo = float(f32(r.normal())); hi = lo + float(f32(r.uniform(0, 3)))
            m.add('clamp', e, lambda: torch.clamp(x, lo, hi), [x], dict(min=lo, max=hi))
            m.add('clamp', e, lambda: torch.clamp(x, lo, None), [x], dict(min=lo, max=None))
            m.add('hardtanh', e, lambda: F.hardtanh(x, lo, hi), [x], dict(min=lo, max=hi))
            t, v = float(f32(r.normal())), float(f32(r.normal())); m.add('threshold', e, lambda: Q.threshold(x, t, v), [x], dict(threshold=t, value=v))
            so, zo = f32(s * r.choice([1, .5, 2, r.uniform(.3, 3), r.uniform(.3, 3)])), m.zp(dt); o = dict(s=float(so), z=zo)
            m.add('hardswish', e, lambda: Q.hardswish(x, float(so), zo), [x], o)
            k = float(f32(r.choice([.01, .25, .5, .1, -1]))); m.add('leaky_relu', e, lambda: Q.leaky_relu(x, k, False, float(so), zo), [x], dict(o, slope=k))
            al, sc, isc = [float(f32(v)) for v in r.choice([1, 1.5, .7, 1.6732632423543772], 3)]
            m.add('elu', e, lambda: Q.elu(x, float(so), zo, al, sc, isc), [x], dict(o, alpha=al, scale=sc, input_scale=isc))
            m.add('celu', e, lambda: Q.celu(x, float(so), zo, al), [x], dict(o, alpha=al))
            if dt == 'u1': m.add('sigmoid', e, lambda: Q.sigmoid(x, float(so), zo), [x], o)

def extremes(m):
    """Results beyond int32, the largest and smallest scales."""
    r = m.rng
    for dt in ('u1', 'i1'):
        x = every_input(m, dt, f32(3e30)); y = every_input(m, dt, f32(1e-30)); tiny = float(f32(1e-9)); z = m.zp(dt)
        for t in (x, y):
            m.add('tanh', 'onednn', lambda: torch.tanh(t), [t]); m.add('sigmoid', 'onednn', lambda: torch.sigmoid(t), [t]); m.add('tanh', 'qnnpack', lambda: torch.tanh(t), [t]); m.add('sigmoid', 'qnnpack', lambda: torch.sigmoid(t), [t])
            m.add('leaky_relu', 'onednn', lambda: Q.leaky_relu(t, .1, False, tiny, z), [t], dict(s=tiny, z=z, slope=float(f32(.1))), extreme=True)
        a, b = m.one(dt, (130,), f32(1)), m.one(dt, (130,), f32(2))
        m.add('add', 'onednn', lambda: Q.add(a, b, tiny, z), [a, b], dict(s=tiny, z=z), extreme=True)
        if dt == 'u1': m.add('mul', 'onednn', lambda: Q.mul(a, b, tiny, z), [a, b], dict(s=tiny, z=z), extreme=True)

def binary(m):
    r = m.rng
    for dt in ('u1', 'i1'):
        for e in ('qnnpack', 'onednn'):
            for sh, sh2 in (((int(r.integers(1, 300)),),) * 2, ((2, 3, 5, 7),) * 2, ((2, 70, 3), (70, 1)), ((3, 2, 66), (66,)), ((4, 5, 6), (1,))):
                same = sh == sh2
                sa, sb = m.scale(), m.scale(); so = f32((sa + sb) * r.uniform(.3, 1.5)); kind = int(r.integers(0, 3))
                if kind == 0: sb = sa; so = f32(sa * 2)
                if kind == 1: sa, sb, so = f32(.25), f32(.125), f32(.5)
                a, b = m.one(dt, sh, sa), m.one(dt, sh2, sb); z = m.zp(dt); o = dict(s=float(so), z=z)
                m.add('add', e, lambda: Q.add(a, b, float(so), z), [a, b], o); m.add('add_relu', e, lambda: Q.add_relu(a, b, float(so), z), [a, b], o)
                sm = f32(sa * sb * r.choice([1, 2, 64, 128, r.uniform(1, 200)])); o = dict(s=float(sm), z=z)
                m.add('mul', e, lambda: Q.mul(a, b, float(sm), z), [a, b], o); m.add('mul_relu', e, lambda: Q.mul_relu(a, b, float(sm), z), [a, b], o)
            x = m.one(dt, (int(r.integers(1, 200)),)); c = float(r.normal() * 10 ** r.uniform(-2, 2) * 100 * x.q_scale())
            for nm in ('add_scalar', 'add_scalar_relu', 'mul_scalar', 'mul_scalar_relu'): m.add(nm, e, lambda: getattr(Q, nm)(x, c), [x], dict(c=c))
            m.add('mul_scalar', e, lambda: Q.mul_scalar(x, 0.), [x], dict(c=0.))
            for cl in (False, True):
                n, h, w = [int(v) for v in r.integers(1, 4, 3)]; s = m.scale(); so = f32(s * r.choice([1, .5, 2, r.uniform(.5, 2)])); z = m.zp(dt)
                xs = [m.one(dt, (n, int(r.integers(2, 40)), h + 1, w), f32(s * r.choice([1, r.uniform(.3, 3)])), cl) for _ in range(int(r.integers(1, 4)))] + [mk(m.ints(dt, n, 3, h + 1, w), so, z, cl)]
                for nm in ('cat', 'cat_relu'): m.add(nm, e, lambda: getattr(Q, nm)(xs, 1, float(so), z), xs, dict(s=float(so), z=z, dim=1), cl=cl)
            xs = [m.one(dt, (3, int(k), 4)) for k in r.integers(1, 6, 3)]; so = m.scale(); z = m.zp(dt)
            m.add('cat', e, lambda: Q.cat(xs, -2, float(so), z), xs, dict(s=float(so), z=z, dim=-2))

def pools(m):
    r = m.rng
    for dt in ('u1', 'i1'):
        for e in ('qnnpack', 'onednn'):
            for cl in (False, True):
                n, c = int(r.integers(1, 3)), int(r.choice([1, 3, 7, 8, 9, 16, 21]))
                h, w = [int(v) for v in r.integers(4, 9, 2)]; x = m.one(dt, (n, c, h, w), cl=cl); k = [int(v) for v in r.integers(1, 4, 2)]; k[0] += k == [1, 1]
                st = [int(v) for v in r.integers(1, 4, 2)]; pd = [int(r.integers(0, v // 2 + 1)) for v in k]; ceil, cip = bool(r.random() < .4), bool(r.random() < .5); dv = int(r.integers(1, 12)) if r.random() < .25 else None
                m.add('avg_pool', e, lambda: F.avg_pool2d(x, k, st, pd, ceil, cip, dv), [x], dict(k=k, st=st, pd=pd, ceil=ceil, cip=cip, div=dv), cl=cl)
                m.add('avg_pool', e, lambda: F.avg_pool2d(x, 2), [x], dict(k=[2, 2], st=[2, 2], pd=[0, 0], ceil=False, cip=True, div=None), cl=cl)
                di = [int(v) for v in r.integers(1, 3, 2)]
                m.add('max_pool', e, lambda: Q.max_pool2d(x, k, st, pd, di, ceil), [x], dict(k=k, st=st, pd=pd, di=di, ceil=ceil), cl=cl)
                o = [int(r.integers(1, h + 1)), int(r.integers(1, w + 1))]
                for size in (o, [1, 1]): m.add('adaptive_avg_pool', e, lambda: F.adaptive_avg_pool2d(x, size), [x], dict(size=size), cl=cl)
                for kd in (False, True): m.add('mean', e, lambda: x.mean((2, 3), kd), [x], dict(dims=[2, 3], keep=kd), cl=cl)
                v = m.one(dt, (n, c, 4, 5, 6), cl=cl); k3 = [int(q) for q in r.integers(1, 4, 3)]; s3 = [int(q) for q in r.integers(1, 3, 3)]; p3 = [int(r.integers(0, q // 2 + 1)) for q in k3]
                m.add('avg_pool', e, lambda: F.avg_pool3d(v, k3, s3, p3, ceil, cip, dv), [v], dict(k=k3, st=s3, pd=p3, ceil=ceil, cip=cip, div=dv), cl=cl)
                o3 = [int(r.integers(1, q + 1)) for q in (4, 5, 6)]; m.add('adaptive_avg_pool', e, lambda: F.adaptive_avg_pool3d(v, o3), [v], dict(size=o3), cl=cl)
                sz = [int(q) for q in r.integers(1, 14, 2)]; al = bool(r.random() < .5)
                m.add('interpolate', e, lambda: F.interpolate(x, sz, mode='bilinear', align_corners=al), [x], dict(size=sz, mode='bilinear', align=al), cl=cl)
                m.add('interpolate', e, lambda: F.interpolate(x, sz, mode='nearest'), [x], dict(size=sz, mode='nearest', align=False), cl=cl)
                fs = [float(f32(q)) for q in r.uniform(.5, 2.5, 2)]
                for mode in ('nearest', 'bilinear'): m.add('interpolate', e, lambda: F.interpolate(x, scale_factor=fs, mode=mode), [x], dict(size=[int(np.floor(h * fs[0])), int(np.floor(w * fs[1]))], mode=mode, align=False, factors=fs), cl=cl)
            l = m.one(dt, (2, 3, int(r.integers(5, 20)))); k1, s1 = int(r.integers(2, 4)), int(r.integers(1, 3)); ceil = bool(r.random() < .5)
            m.add('max_pool', e, lambda: Q.max_pool1d(l, [k1], [s1], [1], [1], ceil), [l], dict(k=[k1], st=[s1], pd=[1], di=[1], ceil=ceil))
            m.add('avg_pool', e, lambda: F.avg_pool1d(l, k1, s1, 1, ceil), [l], dict(k=[k1], st=[s1], pd=[1], ceil=ceil, cip=True, div=None))
            y = m.one(dt, (2, int(r.integers(2, 40)), int(r.choice([5, 8, 13, 40])))); m.add('mean', e, lambda: y.mean(1), [y], dict(dims=[1], keep=False)); m.add('mean', e, lambda: y.mean(2), [y], dict(dims=[2], keep=False)); m.add('mean', e, lambda: y.mean((1, 2), True), [y], dict(dims=[1, 2], keep=True))

def convs(m):
    r = m.rng
    for d in (1, 2, 3):
        for tr in (False, True):
            for e in ('qnnpack', 'onednn'):
                if tr and d == 3 and e == 'qnnpack': continue      # torch 1.13 returns uninitialised memory
                g = int(r.choice([1, 1, 2])); ci, co = g * int(r.integers(1, 5)), g * int(r.integers(1, 5)); kmax = 4 if d < 3 else 3
                if d == 2 and not tr: pass
                k = [int(v) for v in r.integers(1, kmax, d)]; st = [int(v) for v in r.integers(1, 3, d)]; di = [int(v) for v in r.integers(1, 3, d)]
                # oneDNN 2.6.3 is wrong for some grouped 1x1 convolutions
                if e == 'onednn' and g > 1 and all(v == 1 for v in k): k[0] = 2
                pd = [int(r.integers(0, v // 2 + 1)) for v in k]; op = [int(r.integers(0, max(a, b))) for a, b in zip(st, di)] if r.random() < .5 else [0] * d
                sp = [int(v) for v in r.integers(5, 9 if d < 3 else 7, d)]; flavour = str(r.choice(['plain', 'ties', 'hugebias', 'nobias']))
                pc = bool(r.random() < .5) and not (tr and (g > 1 or e == 'onednn')); sym = e == 'onednn' or r.random() < .5
                xs = m.scale(); ws = m.scale(-3, -1); x = m.one('u1', (int(r.integers(1, 3)), ci, *sp), xs)
                w = m.ints('i1', *((ci, co // g) if tr else (co, ci // g)), *k); n = co
                wsc = [float(f32(ws * r.uniform(.5, 2))) for _ in range(n)] if pc else [float(ws)]
                if flavour == 'ties': xs = f32(2.0 ** -int(r.integers(0, 6))); x = mk(x.int_repr().numpy(), xs, x.q_zero_point()); wsc = [2.0 ** -int(r.integers(3, 9)) for _ in wsc]
                wz = [0 if sym else int(v) for v in r.integers(-128, 128, len(wsc))]
                ys = f32(xs * wsc[0] * 2.0 ** int(r.integers(1, 6))) if flavour == 'ties' else f32(xs * np.mean(wsc) * np.sqrt(np.prod(k) * ci / g) * 60 * r.uniform(.3, 3))
                b = (r.normal(size=co) * float(xs) * wsc[0] * 500).astype('f4')
                if flavour == 'ties': b = (float(xs) * np.broadcast_to(np.asarray(wsc), (co,)) * r.integers(-4096, 4096, co) / 8).astype('f4')
                if flavour == 'hugebias': b = (r.choice([-1, 1], co) * 10.0 ** r.uniform(0, 12, co)).astype('f4')
                bias = None if flavour == 'nobias' else torch.from_numpy(b); z = m.zp('u1')
                qw = torch._make_per_channel_quantized_tensor(torch.from_numpy(w), torch.tensor(wsc, dtype=torch.float64), torch.tensor(wz), 1 if tr else 0) if pc else torch._make_per_tensor_quantized_tensor(torch.from_numpy(w), wsc[0], wz[0])
                relu = not tr and bool(r.random() < .4); name = ('conv_transpose%dd' if tr else 'conv%dd') % d
                def run():
                    torch.backends.quantized.engine = e
                    pack = getattr(Q, name + '_prepack')(*([qw, bias, st, pd, op, di, g] if tr else [qw, bias, st, pd, di, g]))
                    return getattr(Q, name + ('_relu' if relu else ''))(x, pack, float(ys), z)
                p = dict(s=float(ys), z=z, st=st, pd=pd, di=di, g=g, ws=wsc, wz=wz, pc=pc, relu=relu, flavour=flavour); p.update(dict(op=op) if tr else {})
                m.add(name, e, run, [x], p, fork=True, w=enc(w), b=None if bias is None else enc(b))
    for d in (1, 2):
        for e in ('qnnpack', 'onednn'):
            M = getattr(torch.ao.nn.quantized, 'Conv%dd' % d); c = M(3, 4, 3, padding=int(r.integers(1, 3)), padding_mode='reflect'); ws, ys, z = float(m.scale(-3, -1)), float(m.scale(-1, 1)), m.zp('u1')
            w = m.ints('i1', 4, 3, *([3] * d)); b = r.normal(size=4).astype('f4'); x = m.one('u1', (2, 3, *([6] * d)))
            def run():
                torch.backends.quantized.engine = e
                q = M(3, 4, 3, padding=c.padding, padding_mode='reflect'); q.set_weight_bias(torch._make_per_tensor_quantized_tensor(torch.from_numpy(w), ws, 0), torch.from_numpy(b)); q.scale, q.zero_point = ys, z
                return q(x)
            m.add('conv%dd' % d, e, run, [x], dict(s=ys, z=z, st=[1] * d, pd=[int(c.padding[0])] * d, di=[1] * d, g=1, ws=[ws], wz=[0], pc=False, relu=False, flavour='reflect', reflect=True), fork=True, w=enc(w), b=enc(b))

if __name__ == '__main__':
    a = argparse.ArgumentParser(); a.add_argument('out', nargs='?', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'ops_torch113.json')); a.add_argument('--n', type=int, default=1); a.add_argument('--seed', type=int, default=30); a = a.parse_args()
    m = Maker(a.seed)
    for _ in range(3 * a.n): convs(m)      # first: the children must not inherit a descriptor cache
    for _ in range(a.n): elementwise(m); binary(m); pools(m)
    extremes(m)
    with open(a.out, 'w') as f:
        f.write('{"meta":' + json.dumps(dict(torch=torch.__version__, engines=['qnnpack', 'onednn 2.6.3'], cpu='x86-64, ATEN_CPU_CAPABILITY=avx2', family='eager quantized operators')) + ',"cases":[\n' + ',\n'.join(json.dumps(r, separators=(',', ':')) for r in m.rows) + '\n]}\n')
    print(len(m.rows), 'cases', os.path.getsize(a.out), 'bytes')
    for k, v in sorted(m.refused.items()): print('refused', len(v), *k)
