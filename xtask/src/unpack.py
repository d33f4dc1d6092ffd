"""unpack.py WHEEL DEST PATTERN=TARGET...: files of a wheel that match PATTERN go to DEST/TARGET.

A TARGET that ends in "/" is a folder: the part of the name that "**" stands for goes below it.
A file that is there with the right content is kept; any other is written beside its place, then renamed.
Prints one line "SIZE NAME" for each file, relative to DEST.
"""
import os
import shutil
import sys
import zipfile
import zlib
from fnmatch import fnmatchcase


def place(name, rules):
    for pattern, target in rules:
        head = pattern[:-2] if pattern.endswith("/**") else None
        if head is not None and name.startswith(head):
            return target + name[len(head):]
        if head is None and fnmatchcase(name, pattern):
            return target
    return None


def intact(path, info):
    if not os.path.isfile(path) or os.path.getsize(path) != info.file_size:
        return False
    crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            crc = zlib.crc32(chunk, crc)
    return crc == info.CRC


wheel, dest = sys.argv[1:3]
rules = [tuple(rule.split("=")) for rule in sys.argv[3:]]
with zipfile.ZipFile(wheel) as archive:
    for info in archive.infolist():
        target = None if info.is_dir() else place(info.filename, rules)
        if target is None or ".." in target.split("/"):
            continue
        path = os.path.join(dest, target)
        if not intact(path, info):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(info) as source, open(path + ".part", "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                os.chmod(path + ".part", 0o755 if ".so" in target or "ffmpeg" in target else 0o644)
            os.replace(path + ".part", path)
        print(info.file_size, target)
