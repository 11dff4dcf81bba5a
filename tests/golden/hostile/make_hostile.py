# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and malicious files.  python3 make_hostile.py

No producer writes these: they are put together byte by byte. hostile.json lists each with what is wrong and what a reader must do:
    error    refuse with a message
    bounded  refuse, or open it; in either case within a few hundred MB and a few seconds
    open     a control: well-formed, put together by the same functions
The code inside pickles would create a file named KVSCOPE_HOSTILE_RAN in the working directory: no reader may let that happen.
"""

from hostile_caches import make_folders, make_llamacpp, make_lmcache
from hostile_list import HERE, LISTED, write_list
from hostile_numpy import make_npy, make_zip
from hostile_safetensors import make_safetensors
from hostile_torch import make_torch

for make in (make_npy, make_torch, make_zip, make_safetensors, make_llamacpp, make_lmcache, make_folders):
    make()
write_list()
size = sum(p.stat().st_size for p in HERE.rglob("*") if p.is_file())
print(len(LISTED), "files and folders,", size, "bytes")
