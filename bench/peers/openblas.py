"""Serves OpenBLAS's sgemm through ctypes, timed call by call.

usage: openblas.py LIBRARY THREADS

Prints a line of JSON about itself, and a line of JSON for each line of its input, with which it ends:
  load NAME M N K FORM A B  reads a product's operands, raw float32, from the files A and B; FORM is NN, NT or TN, a transposed operand stored so
  run NAME N                c = a·b N times: {"seconds": of all of them}
  save NAME FILE            writes c
"""
import ctypes
import json
import mmap
import sys
import time

ROW_MAJOR, AS_STORED, TRANSPOSED = 101, 111, 112
FLOAT = ctypes.POINTER(ctypes.c_float)


def memory(floats):
    """Room for so many floats, in huge pages where the system has them."""
    room = mmap.mmap(-1, 4 * floats)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        room.madvise(mmap.MADV_HUGEPAGE)
    return room


def read(path, floats):
    room = memory(floats)
    with open(path, "rb") as f:
        if f.readinto(room) != 4 * floats:
            sys.exit(f"{path}: not {floats} floats")
    return room


def pointer(room):
    return ctypes.cast((ctypes.c_char * len(room)).from_buffer(room), FLOAT)


class Product:
    def __init__(self, sgemm, m, n, k, form, a, b):
        m, n, k = int(m), int(n), int(k)
        self.a, self.b, self.c = read(a, m * k), read(b, k * n), memory(m * n)
        trans = [TRANSPOSED if t == "T" else AS_STORED for t in form]
        step_a, step_b = m if form[0] == "T" else k, k if form[1] == "T" else n
        self.call = lambda: sgemm(ROW_MAJOR, *trans, m, n, k, 1.0, pointers[0], step_a, pointers[1], step_b, 0.0, pointers[2], n)
        pointers = [pointer(room) for room in (self.a, self.b, self.c)]

    def run(self, times):
        begin = time.perf_counter()
        for _ in range(times):
            self.call()
        return time.perf_counter() - begin


def library(path, threads):
    blas = ctypes.CDLL(path)
    integer, real = ctypes.c_int, ctypes.c_float
    blas.cblas_sgemm.argtypes = [integer] * 6 + [real, FLOAT, integer, FLOAT, integer, real, FLOAT, integer]
    blas.openblas_get_config.restype = blas.openblas_get_corename.restype = ctypes.c_char_p
    blas.openblas_set_num_threads(threads)
    return blas


def main():
    blas = library(sys.argv[1], int(sys.argv[2]))
    answer(version=blas.openblas_get_config().decode(), core=blas.openblas_get_corename().decode())
    products = {}
    for line in sys.stdin:
        verb, name, *args = line.split()
        if verb == "load":
            products[name] = Product(blas.cblas_sgemm, *args)
            answer()
        elif verb == "run":
            answer(seconds=products[name].run(int(args[0])))
        elif verb == "save":
            with open(args[0], "wb") as f:
                f.write(products[name].c)
            answer()


def answer(**fields):
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
