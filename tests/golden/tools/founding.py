"""The founding example (float bias of a quantized convolution) on every engine at hand: torch 1.13, and libtorch 2.10 where its runner
(ts_io.py, not kept here: it needs a 600 MB package) lies beside this file."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import warnings; warnings.filterwarnings('ignore')
import numpy as np, torch, ref
try: import ts_io
except ImportError: ts_io = None
import torch.ao.quantization as tq
from torch.ao.quantization import observer as O

def eager(engine, wq):
    torch.backends.quantized.engine = engine
    conv = torch.nn.Conv2d(5, 2, 3, bias=True)
    with torch.no_grad(): conv.weight.zero_(); conv.bias.fill_(0.5)
    conv.qconfig = tq.QConfig(activation=O.MinMaxObserver.with_args(), weight=wq)
    m = tq.QuantWrapper(conv).eval(); m = tq.prepare(m); x = torch.ones(2, 5, 7, 7)
    m(x); m = tq.convert(m)
    q = m.module(m.quant(x))
    return m, q
W = {'per_channel_affine': O.PerChannelMinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_channel_affine),
     'per_channel_symmetric': O.PerChannelMinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_channel_symmetric)}
for name, wq in W.items():
    for e in ('qnnpack', 'onednn'):
        try:
            m, q = eager(e, wq)
            w = m.module.weight()
            print('torch 1.13', e, name, 'int_repr', q.int_repr().unique().tolist(), 'scale', q.q_scale(), 'zp', q.q_zero_point(), 'dequant', q.dequantize().unique().tolist(),
                  '| act scale', float(m.quant.scale), 'zp', int(m.quant.zero_point), '| w scale', w.q_per_channel_scales().tolist(), 'w zp', w.q_per_channel_zero_points().tolist(), 'w int', w.int_repr().unique().tolist(), '| bias dtype', m.module.bias().dtype)
        except Exception as ex: print('torch 1.13', e, name, 'raises', type(ex).__name__, str(ex).split('\n')[0][:140])
# the same numbers through libtorch 2.10 and through the NumPy reference
a = ref.MinMax(); a.forward(np.full((2, 5, 7, 7), 1, 'f4')); xs, xz = a.calc()
o = ref.MinMax(); o.forward(np.full(4, .5, 'f4')); os_, oz = o.calc()
for name, kw in (('per_channel_affine', {}), ('per_channel_symmetric', dict(qscheme='per_channel_symmetric'))):
    p = ref.PerChannelMinMax(dtype='qint8', **kw); p.forward(np.zeros((2, 5, 3, 3), 'f4')); ws, wz = p.calc()
    c = dict(x=ref.quantize(np.full((2, 5, 7, 7), 1, 'f4'), xs[0], xz[0]).astype('u1'), xs=float(xs[0]), xz=int(xz[0]), w=ref.quantize_channels(np.zeros((2, 5, 3, 3), 'f4'), ws, wz).astype('i1'), ws=[float(v) for v in ws], wz=[int(v) for v in wz],
             b=np.full(2, .5, 'f4'), stride=(1, 1), pad=(0, 0), dil=(1, 1), groups=1, os=float(os_[0]), oz=int(oz[0]), per_channel=1, relu=0)
    r = {} if ts_io is None else ts_io.run([('conv2d', ts_io.conv_args(c), ['fbgemm', 'qnnpack', 'onednn', 'x86'])], tag='f')[0]
    for e, v in r.items(): print('libtorch 2.10', e, name, 'raises: ' + [l for l in v.split('\n') if 'quantized' in l][-1][:150] if isinstance(v, str) else ('int_repr', np.unique(v).tolist(), 'dequant', np.unique(ref.dequantize(v, c['os'], c['oz'])).tolist()), 'w zp', c['wz'])
    print('ref', name, {e: np.unique(ref.run(e, c)).tolist() for e in ('fbgemm', 'qnnpack', 'onednn3', 'onednn2')}, 'out scale', repr(c['os']), 'int32 bias (qnnpack)', ref.qnnpack_bias(c['b'], c['xs'], c['ws'], 1, 2).tolist(), 'bias/(sx*sw)', 0.5 / (c['xs'] * c['ws'][0]))
