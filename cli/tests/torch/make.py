"""Makes the fixtures: python3 cli/tests/torch/make.py cli/tests/torch, with torch 2 and numpy."""
import argparse, collections, io, pickle, struct, sys, tarfile
import numpy as np, torch
d = sys.argv[1] + '/'
torch.manual_seed(0)
net = torch.nn.Sequential(collections.OrderedDict(conv1=torch.nn.Conv2d(1, 2, 3), bn1=torch.nn.BatchNorm2d(2)))
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net(torch.randn(2, 1, 4, 4)).sum().backward(); opt.step()
module = {f'module.encoder_q.0.{k}': v for k, v in net.state_dict().items()}
module = collections.OrderedDict(module)
args = argparse.Namespace(lr=0.1, gpus=[0], name='x')
dualvar = {'epoch': 190, 'state_dict': module, 'best_acc': np.float64(0.5), 'optimizer': opt.state_dict(), 'iteration': 3, 'args': args}
torch.save(dualvar, d + 'dualvar.pth.tar')
torch.save(dualvar, d + 'dualvar_legacy.pth.tar', _use_new_zipfile_serialization=False)
old = collections.OrderedDict((k, v) for k, v in net.state_dict().items() if 'num_batches' not in k)
torch.save({'opt': args, 'model': old, 'contrast': {'memory_l': torch.rand(2, 2)}, 'optimizer': opt.state_dict(), 'epoch': 5}, d + 'iic.pth', _use_new_zipfile_serialization=False)
base = torch.arange(24, dtype=torch.float32)
kinds = {'f32': base[:4].clone(), 'f64': base[:4].double(), 'f16': base[:4].half(), 'bf16': base[:4].bfloat16(), 'i64': base[:4].long(), 'i32': base[:4].int(), 'u8': base[:4].byte(), 'bool': base[:4] > 1,
  'view': base[6:12].view(2, 3), 'turned': base.view(4, 6).t(), 'step': base[1::5], 'tied': base, 'spread': base[:1].expand(3, 2), 'empty': torch.zeros(0, 3), 'scalar': torch.tensor(7), 'parameter': torch.nn.Parameter(base[3:5])}
torch.save(kinds, d + 'kinds.pt')
torch.save(kinds, d + 'kinds_legacy.pt', _use_new_zipfile_serialization=False)
# torch's form before 0.1.11, as torch.load still reads it
def member(tar, name, data):
    info = tarfile.TarInfo(name); info.size = len(data); tar.addfile(info, io.BytesIO(data))
class Persistent:
    def __init__(self, key): self.key = key
class Pickler(pickle.Pickler):
    def persistent_id(self, o): return o.key if isinstance(o, Persistent) else None
with tarfile.open(d + 'old.pth', 'w') as tar:
    two = lambda o: pickle.dumps(o, 2)
    member(tar, 'sys_info', two({'protocol_version': 1000, 'little_endian': True, 'type_sizes': {}}))
    s = two(1) + two((11, 'cpu', torch.FloatStorage)) + struct.pack('<q6f', 6, *range(6)) + two([(12, 11, 2, 4)])
    member(tar, 'storages', s)
    def tensor(key, storage, size, stride, offset):
        n = len(size)
        return two((key, storage, torch.FloatTensor)) + struct.pack(f'<ii{2*n}qq', n, 0, *size, *stride, offset)
    member(tar, 'tensors', two(2) + tensor(21, 11, [3, 2], [1, 3], 0) + tensor(22, 12, [2], [1], 1))
    out = io.BytesIO(); Pickler(out, 2).dump(collections.OrderedDict(weight=Persistent(21), part=Persistent(22)))
    member(tar, 'pickle', out.getvalue())
print(torch.load(d + 'old.pth', weights_only=False))
