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

PIECE = 65536
STRING = [("at", "<u8"), ("length", "<u4")]
VIDEO = np.dtype([
    ("path", STRING), ("class", "<u4"), ("group", STRING), ("flags", "<u4"), ("fps", "<f8"),
    ("source_height", "<u4"), ("source_width", "<u4"), ("source_bytes", "<u8"), ("source_sha256", "V32"),
    ("note", STRING), ("zero", "<u4"),
    ("frames", "<u4"), ("height", "<u4"), ("width", "<u4"),
    ("shard", "<u4"), ("crc", "<u4"), ("start", "<u8"), ("index", "<u8"), ("length", "<u4"), ("zero2", "<u4"),
    ("content", "V32"),
])
ROW = np.dtype([("path", STRING), ("video", "<u4"), ("list", "<u4"), ("line", "<u4")])
NONE = 0xFFFFFFFF


class Damaged(Exception):
    pass


def check(good, what):
    if not good:
        raise Damaged(what)


class Catalogue:
    """The records of a set. Pieces are checked here all at once; a reader of large sets checks those that it needs."""

    def __init__(self, path, about):
        self.data = np.memmap(path, np.uint8, "r")
        length = about["catalogue"]["bytes"]
        pieces = -(-length // PIECE)
        check(len(self.data) == length + 4 * pieces, f"{path} is truncated")
        sums = np.frombuffer(self.data[length:].tobytes(), "<u4")
        for piece in range(pieces):
            bytes_ = self.data[piece * PIECE:min((piece + 1) * PIECE, length)].tobytes()
            check(zlib.crc32(bytes_) == sums[piece], f"{path}: piece {piece} fails its checksum")
        check(self.data[:8].tobytes() == b"DVCATLG\0", f"{path} is no catalogue")
        self.videos = self.data[16:16 + about["videos"] * VIDEO.itemsize].view(VIDEO)
        at = 16 + about["videos"] * VIDEO.itemsize
        self.splits = {}
        for split in about["splits"]:
            end = at + split["rows"] * ROW.itemsize
            self.splits[split["name"]] = self.data[at:end].view(ROW)
            at = end

    def string(self, field):
        at, length = int(field["at"]), int(field["length"])
        return self.data[at:at + length].tobytes().decode("utf-8")


class Shard:
    """One file of videos."""

    def __init__(self, path):
        self.path = path
        self.data = np.memmap(path, np.uint8, "r")
        check(len(self.data) >= 20 and self.bytes(0, 8) == b"DVSHARD\0", f"{path} is no shard")
        version, length = struct.unpack("<II", self.bytes(8, 8))
        check(version == 3, f"{path} has format version {version}, not 3")
        check(length <= 65536 and 20 + length <= len(self.data), f"{path}: its header is damaged")
        (crc,) = struct.unpack("<I", self.bytes(16 + length, 4))
        check(zlib.crc32(self.bytes(0, 16 + length)) == crc, f"{path}: its header fails its checksum")
        self.header = json.loads(self.bytes(16, length))

    def bytes(self, at, length):
        return self.data[at:at + length].tobytes()


class Video:
    """The index of a video."""

    def __init__(self, shard, record):
        self.shard = shard
        start, at, length = (int(record[name]) for name in ("start", "index", "length"))
        check(start <= at and at + length <= len(shard.data) and length >= 16, f"{shard.path}: an index lies outside")
        index = shard.bytes(at, length)
        check(zlib.crc32(index) == record["crc"], f"{shard.path}: an index fails its checksum")
        self.frames, self.height, self.width, blocks = struct.unpack("<4I", index[:16])
        check(length == 16 + 16 * blocks + 8 * self.frames + 8, f"{shard.path}: an index has the wrong length")
        entry = np.dtype([("offset", "<u8"), ("length", "<u4"), ("crc", "<u4")])
        self.blocks = np.frombuffer(index[16:16 + 16 * blocks], entry)
        self.times = np.frombuffer(index[16 + 16 * blocks:-8], "<i8")
        self.start, self.end = start, at

    def block(self, number, frames):
        """A block's frames as RGB24: uint8 [frames, height, width, 3]."""
        path = self.shard.path
        offset, length, crc = self.blocks[number].tolist()
        check(self.start <= offset and offset + length <= self.end, f"{path}: block {number} lies outside")
        data = self.shard.bytes(offset, length)
        check(zlib.crc32(data) == crc, f"{path}: block {number} fails its checksum")
        h, w, codec = self.height, self.width, self.shard.header["codec"]
        planes = {"rgb": [(h, w)] * 3, "yuv420": [(h, w)] + [((h + 1) // 2, (w + 1) // 2)] * 2}[codec]
        size = frames * sum(h * w for h, w in planes)
        residual = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
        check(len(residual) == size, f"{path}: block {number} has the wrong size")
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
        check(self.about["format"] == "dv-set" and self.about["version"] == 3, "set.json is of another format")
        self.stream = self.about["streams"][0]
        self.catalogue = Catalogue(Path(folder) / "catalogue.dvc", self.about)
        self.videos = self.catalogue.videos
        shards = enumerate(self.stream["shards"])
        name = self.stream["name"]
        self.shards = [Shard(Path(folder) / f"shards/{name}-{i:05}.dvs") if size else None for i, size in shards]

    def path(self, video):
        return self.catalogue.string(self.videos[video]["path"])

    def label(self, video):
        number = int(self.videos[video]["class"])
        return None if number == NONE else self.about["classes"][number]

    def frames(self, video, frames=None):
        """Frames of a video as RGB24, all of them unless their numbers are given."""
        record = self.videos[video]
        index = Video(self.shards[record["shard"]], record)
        frames = range(index.frames) if frames is None else frames
        size, out, loaded = self.stream["block_frames"], [], (None, None)
        for frame in frames:
            if not 0 <= frame < index.frames:
                raise IndexError(f"{self.path(video)} has no frame {frame}")
            at = frame // size
            if loaded[0] != at:
                loaded = at, index.block(at, min(size, index.frames - at * size))
            out.append(loaded[1][frame % size])
        return np.stack(out)


if __name__ == "__main__":
    packed = PackedSet(sys.argv[1])
    out = open(sys.argv[2], "wb") if len(sys.argv) > 2 else None
    for number, video in enumerate(packed.videos):
        print(packed.path(number), packed.label(number), video["frames"])
        if out:
            out.write(packed.frames(number).tobytes())
