"""Reads a packed set of dv as FORMAT.md describes it, with numpy and zstandard alone.

read_shards.py SET            lists the videos
read_shards.py SET OUT.rgb    also writes every frame of every video, in order, as RGB24
In a program: PackedSet("data/ucf101").frames(0, [3, 4, 5]) is a uint8 array [3, height, width, 3].
"""
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import zstandard


class Damaged(Exception):
    pass


def check(good, what):
    if not good:
        raise Damaged(what)


class Shard:
    """One file of blocks."""

    def __init__(self, path):
        self.path = path
        self.data = np.memmap(path, np.uint8, "r")
        check(len(self.data) >= 52 and self.bytes(0, 8) == b"DVSHARD\0", f"{path} is no shard")
        version, length = struct.unpack("<II", self.bytes(8, 8))
        check(version == 2, f"{path} has format version {version}, not 2")
        footer = len(self.data) - 32
        check(length <= 65536 and 20 + length <= footer, f"{path}: its header is damaged")
        (crc,) = struct.unpack("<I", self.bytes(16 + length, 4))
        check(zlib.crc32(self.bytes(0, 16 + length)) == crc, f"{path}: its header fails its checksum")
        self.header = json.loads(self.bytes(16, length))
        end = self.bytes(footer, 32)
        index, size, index_crc, end_crc = struct.unpack("<QQII", end[:24])
        check(end[24:] == b"DVSHEND\0" and zlib.crc32(end[:20]) == end_crc, f"{path} is truncated")
        check(20 + length <= index and index + size == footer and size >= 16, f"{path}: its footer is damaged")
        table = self.bytes(index, size)
        check(zlib.crc32(table) == index_crc, f"{path}: its index fails its checksum")
        segments, blocks, frames, _ = struct.unpack("<4I", table[:16])
        check(size == 16 + 24 * segments + 16 * blocks + 8 * frames, f"{path}: its index has the wrong length")
        at = 16 + 24 * segments
        # video, first_frame, frames, first_block, first_time, zero
        self.segments = np.frombuffer(table[16:at], "<u4").reshape(-1, 6).tolist()
        entry = np.dtype([("offset", "<u8"), ("length", "<u4"), ("crc", "<u4")])
        self.blocks = np.frombuffer(table[at:at + 16 * blocks], entry)
        self.times = np.frombuffer(table[at + 16 * blocks:], "<i8")
        self.first, self.index = 20 + length, index

    def bytes(self, at, length):
        return self.data[at:at + length].tobytes()

    def block(self, number, frames):
        """A block's frames as RGB24: uint8 [frames, height, width, 3]."""
        offset, length, crc = self.blocks[number].tolist()
        check(self.first <= offset and offset + length <= self.index, f"{self.path}: block {number} lies outside")
        data = self.bytes(offset, length)
        check(zlib.crc32(data) == crc, f"{self.path}: block {number} fails its checksum")
        h, w, codec = self.header["height"], self.header["width"], self.header["codec"]
        planes = {"rgb": [(h, w)] * 3, "yuv420": [(h, w)] + [((h + 1) // 2, (w + 1) // 2)] * 2}[codec]
        size = frames * sum(h * w for h, w in planes)
        residual = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
        check(len(residual) == size, f"{self.path}: block {number} has the wrong size")
        residual = np.frombuffer(residual, np.uint8).reshape(frames, -1)
        restored, at = [], 0
        for height, width in planes:
            plane = residual[:, at:at + height * width].reshape(frames, height, width).copy()
            at += height * width
            plane[:, 0] = np.cumsum(plane[:, 0], axis=1, dtype=np.uint8)
            restored.append(np.cumsum(plane, axis=1, dtype=np.uint8))
        if codec == "rgb":
            g, r, b = restored
            return np.stack([r + g, g, b + g], axis=-1)
        return yuv_to_rgb(*restored)


def yuv_to_rgb(luma, cb, cr):
    h, w = luma.shape[1:]
    full = [plane.repeat(2, axis=1).repeat(2, axis=2)[:, :h, :w].astype(np.int32) - 128 for plane in (cb, cr)]
    u, v = full
    y = luma.astype(np.int32)
    sums = [91881 * v, -22554 * u - 46802 * v, 116130 * u]
    return np.stack([np.clip(y + ((s + 32768) >> 16), 0, 255) for s in sums], axis=-1).astype(np.uint8)


class PackedSet:
    """A folder that `dv pack` made."""

    def __init__(self, folder):
        self.about = json.loads((Path(folder) / "set.json").read_text("utf-8"))
        check(self.about["format"] == "dv-set" and self.about["version"] == 2, "set.json is of another format")
        self.videos = self.about["videos"]
        self.shards = [Shard(Path(folder) / f"shards/{i:05}.dvs") for i in range(len(self.about["shards"]))]
        # Per video: (first frame, frames, shard, first block) of each of its runs.
        self.runs = [[] for _ in self.videos]
        for shard in self.shards:
            for video, first_frame, frames, first_block, _, _ in shard.segments:
                self.runs[video].append((first_frame, frames, shard, first_block))

    def frames(self, video, frames=None):
        """Frames of a video as RGB24, all of them unless their numbers are given."""
        frames = range(self.videos[video]["frames"]) if frames is None else frames
        size, out, loaded = self.about["block_frames"], [], (None, None)
        for frame in frames:
            for first, count, shard, block in self.runs[video]:
                if first <= frame < first + count:
                    at = (frame - first) // size
                    if loaded[0] != (shard.path, block + at):
                        block_frames = min(size, count - at * size)
                        loaded = (shard.path, block + at), shard.block(block + at, block_frames)
                    out.append(loaded[1][(frame - first) % size])
                    break
            else:
                raise IndexError(f"{self.videos[video]['path']} has no frame {frame}")
        return np.stack(out)


if __name__ == "__main__":
    packed = PackedSet(sys.argv[1])
    out = open(sys.argv[2], "wb") if len(sys.argv) > 2 else None
    for number, video in enumerate(packed.videos):
        name = None if video["class"] is None else packed.about["classes"][video["class"]]
        print(video["path"], name, video["frames"])
        if out:
            out.write(packed.frames(number).tobytes())
