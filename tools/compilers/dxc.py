"""Microsoft's DXC on the HLSL of every kernel, called as wgpu calls it (wgpu-hal 30, dx12/shader_compilation.rs)."""

import ctypes
import multiprocessing
import tarfile
import time
import uuid

from common import CORES, TRANSLATIONS, WORK, Failed, Row, index, pip

VERSION = "0.17.5"
SHA256 = "5052caf9e955d8e7a48e22f536e82b44b72e83af46e824a9e99157c7809de691"
UTF8 = 65001

COMPILER = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"  # CLSID_DxcCompiler
COMPILER3 = "228b4687-5a6a-4730-900c-9702b2203f54"
VERSION_INFO = "b04f5b50-2059-4f12-a8ff-a1e0cde1cc7e"
RESULT = "58346cda-dde7-4497-9461-6f87af5e0659"
# The library that signs, which exists on Windows only; there it is beside the compiler.
UNSIGNED = "warning: DXIL.dll not found.  Resulting DXIL will not be signed for use in release environments."
# Places in the tables of methods: three of IUnknown, two for its destructor outside Windows, then the interface's own.
QUERY, RELEASE, FIRST = 0, 2, 5


class Guid(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 16)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def guid(text: str):
    return ctypes.byref(Guid.from_buffer_copy(uuid.UUID(text).bytes_le))


def call(thing, place: int, *arguments, result=ctypes.c_int32):
    """The method of a COM object at that place."""
    table = ctypes.cast(thing, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]
    kinds = [ctypes.c_void_p] * len(arguments)
    kinds = [ctypes.c_uint32 if isinstance(a, ctypes.c_uint32) else kind for a, kind in zip(arguments, kinds, strict=True)]
    return ctypes.CFUNCTYPE(result, ctypes.c_void_p, *kinds)(table[place])(thing, *arguments)


class Dxc:
    """A compiler of the library."""

    def __init__(self, library):
        self.compiler = ctypes.c_void_p()
        create = ctypes.CDLL(str(library)).DxcCreateInstance
        status = create(guid(COMPILER), guid(COMPILER3), ctypes.byref(self.compiler))
        if status:
            raise Failed(f"{library} makes no compiler: {status:#x}")

    def version(self) -> tuple[int, int]:
        info, major, minor = ctypes.c_void_p(), ctypes.c_uint32(), ctypes.c_uint32()
        if call(self.compiler, QUERY, guid(VERSION_INFO), ctypes.byref(info)):
            raise Failed("DXC does not tell its version")
        call(info, FIRST, ctypes.byref(major), ctypes.byref(minor))
        return major.value, minor.value

    def compile(self, text: bytes, name: str, entry: str, target: str) -> str | None:
        """What is wrong with the text. wgpu takes whatever is in the buffer of errors for a failure."""
        words = [name, "-E", entry, "-T", target, "-HV", "2018", "-no-warnings", "-Ges"]
        arguments = (ctypes.c_wchar_p * len(words))(*words)
        source, result = Buffer(text, len(text), UTF8), ctypes.c_void_p()
        given = [ctypes.byref(source), arguments, ctypes.c_uint32(len(words)), None, guid(RESULT), ctypes.byref(result)]
        if status := call(self.compiler, FIRST, *given):
            return f"Compile returned {status:#x}"
        try:
            return self.judged(result)
        finally:
            call(result, RELEASE, result=ctypes.c_uint32)

    @staticmethod
    def judged(result) -> str | None:
        status, errors, code = ctypes.c_int32(), ctypes.c_void_p(), ctypes.c_void_p()
        call(result, FIRST, ctypes.byref(status))
        call(result, FIRST + 2, ctypes.byref(errors))
        call(result, FIRST + 1, ctypes.byref(code))
        said, size = contents(errors)
        message = ctypes.string_at(said, size).decode(errors="replace") if size else ""
        message = message.replace(UNSIGNED, "").strip("\0\r\n ")
        if status.value or message:
            return message[:1500] or f"status {status.value:#x}"
        return None if contents(code)[1] else "it made no code"


def contents(blob) -> tuple[int, int]:
    """Where the blob's bytes are, and how many; it is given back when the process ends."""
    if not blob:
        return 0, 0
    place = call(blob, FIRST, result=ctypes.c_void_p)
    return place, call(blob, FIRST + 1, result=ctypes.c_size_t)


def library():
    place = WORK / "dxc/libdxcompiler.so"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        inside = f"compushady-{VERSION}/compushady/backends/libdxcompiler_x86_64.so.3.7"
        with tarfile.open(pip("compushady", VERSION, SHA256, "--no-binary", ":all:")) as archive:
            place.write_bytes(archive.extractfile(inside).read())
    return place


def begin(path) -> None:
    """A compiler for this process."""
    global dxc
    dxc = Dxc(path)


def check(item) -> str | None:
    file, entry, target = item
    wrong = dxc.compile((TRANSLATIONS / file).read_bytes(), file, entry, target)
    return wrong and f"{file}: {wrong}"


def part() -> list[Row]:
    path, start = library(), time.time()
    major, minor = Dxc(path).version()
    target = f"cs_6_{min(minor, 9) if major == 1 else 9}"  # wgpu's `DxcShaderModel::from_dxc_version`
    # Kernels that differ only in what other back ends get have the same HLSL.
    texts = {(TRANSLATIONS / row["hlsl"]["file"]).read_bytes(): row["hlsl"] for row in index() if row["hlsl"]}
    items = [(row["file"], row["entry"], target) for row in texts.values()]
    context = multiprocessing.get_context("spawn")
    with context.Pool(CORES, begin, (path,)) as pool:
        failures = [f for f in pool.imap(check, items) if f]
    what = f"HLSL as wgpu writes it, -T {target} -HV 2018 -Ges"
    seconds = time.time() - start
    return [Row("dxc", "DXC", f"{major}.{minor}", what, len(items), len(failures), seconds, failures)]
