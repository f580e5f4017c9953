"""Run one generated program against its tests, confined: a program of its own that needs nothing but Python.

box.py starts it, and nothing imports it. Three processes, so that a program cannot fake its verdict:

launcher   makes namespaces and an empty file system with nothing but Python in it, then only waits
judge      the first process in there; it runs the tests and alone knows them, and its end ends everything
program    the generated code; it answers calls through a pipe, with plain data, and has no other way out

On standard input come two messages: what to run and within which limits, then the tests. The verdict is one line.
"""

# Paths are strings, since pathlib takes a tenth of this program's start.
# ruff: noqa: PTH101, PTH103, PTH114, PTH115, PTH120, PTH211
import ctypes
import json
import os
import platform
import resource
import signal
from typing import Any

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
)  # fmt: skip
NO_SUID, NO_DEV, BIND, RECURSIVE, PRIVATE, DETACH = 2, 4, 4096, 16384, 1 << 18, 2
SET_PDEATHSIG, SET_DUMPABLE, SET_NO_NEW_PRIVS = 1, 4, 38
MOUNT_SETATTR, PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}
LONGEST_MESSAGE = 1 << 24
LONGEST_REASON = 300
FIRST_USER = 1 << 30
"""A user of its own for each run: limits on processes count by user, and root has none."""


class Refused(Exception):
    """The system does not give what the confinement needs."""


def called(name: str, *arguments: Any) -> None:
    """Call the C library and refuse where it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)) != 0:
        raise Refused(f"{name}: {os.strerror(ctypes.get_errno())}")


def enclose(scratch: str, visible: list[str]) -> None:
    """Leave all namespaces of the machine: no network, no other process, no file but Python's, read only."""
    user, group, architecture = os.getuid(), os.getgid(), platform.machine()
    if architecture not in PIVOT_ROOT:
        raise Refused(f"no system call is known on {architecture}")
    spaces = NEW_MOUNTS | NEW_PIDS | NEW_NET | NEW_IPC | NEW_UTS
    called("unshare", spaces if user == 0 else spaces | NEW_USER)
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            handle = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(handle, text.encode())
            os.close(handle)
    called("mount", None, b"/", None, RECURSIVE | PRIVATE, None)
    called("mount", b"tmpfs", scratch.encode(), b"tmpfs", NO_SUID | NO_DEV, b"size=32m,nr_inodes=4096,mode=0755")
    for path in visible:
        inside = scratch + path
        os.makedirs(os.path.dirname(inside), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), inside)
            continue
        os.makedirs(inside, exist_ok=True)
        called("mount", path.encode(), inside.encode(), None, BIND | RECURSIVE, None)
        read_only = (ctypes.c_uint64 * 4)(1 | NO_SUID | NO_DEV, 0, 0, 0)
        called("syscall", MOUNT_SETATTR, -100, inside.encode(), 0x8000, read_only, 32)
    os.makedirs(f"{scratch}/work")
    os.chmod(f"{scratch}/work", 0o777)
    os.chdir(scratch)
    called("syscall", PIVOT_ROOT[architecture], b".", b".")
    called("umount2", b".", DETACH)
    os.chdir("/work")


def drop_rights(nobody: int) -> None:
    """Become nobody: of root, a user that owns nothing; of a user, one without capabilities in the namespace."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
    else:
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        called("capset", header, nothing)
    called("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def limit(megabytes: int, seconds: int, processes: bool) -> None:
    """Bound memory, processor time, the size of files and the number of open ones; `processes` False allows no more."""
    limits = {
        resource.RLIMIT_AS: megabytes << 20,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 16 << 20,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_CORE: 0,
    } | ({} if processes else {resource.RLIMIT_NPROC: 0})
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


def pack(value: Any) -> Any:
    """Turn a value of Python into plain data; what is no plain value becomes the name of its type, equal to nothing."""
    if value is None or value is True or value is False or type(value) is str:
        return value
    for kind, name, listed in ((list, "list", list), (tuple, "tuple", list), (set, "set", list),
                               (frozenset, "frozenset", list)):  # fmt: skip
        if isinstance(value, kind):
            return [name, [pack(each) for each in listed(value)]]
    if isinstance(value, dict):
        return ["dict", [[pack(key), pack(each)] for key, each in value.items()]]
    if isinstance(value, int):
        return ["int", format(int(value), "x")]
    if isinstance(value, float | complex | str | bytes):
        plain: Any = next(kind for kind in (float, complex, str, bytes) if isinstance(value, kind))
        return [plain.__name__, bytes.hex(value) if isinstance(value, bytes) else plain.__str__(value)]
    if type(value).__name__ in ("Fraction", "Decimal"):
        return [type(value).__name__, str(value)]
    return ["other", type(value).__name__]


def unpack(data: Any) -> Any:
    """Turn plain data back into a value."""
    if not isinstance(data, list):
        return data
    name, content = data
    if name in ("list", "tuple", "set", "frozenset"):
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[name](map(unpack, content))
    if name == "dict":
        return {unpack(key): unpack(value) for key, value in content}
    if name in ("Fraction", "Decimal"):
        import decimal
        import fractions

        return fractions.Fraction(content) if name == "Fraction" else decimal.Decimal(content)
    readers: dict[str, Any] = {"float": float, "complex": complex, "str": str, "bytes": bytes.fromhex}
    return int(content, 16) if name == "int" else readers[name](content) if name in readers else object()


def send(handle: int, message: Any) -> None:
    """Write one message with its length before it."""
    data = json.dumps(message).encode()
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(handle, data) :]


def receive(handle: int) -> Any:
    """Read one message; EOFError where the other side is gone or says too much."""
    size = int.from_bytes(_exactly(handle, 4), "big")
    if size > LONGEST_MESSAGE:
        raise EOFError("an answer without end")
    return json.loads(_exactly(handle, size))


def _exactly(handle: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(handle, min(size - len(data), 1 << 20))
        if not more:
            raise EOFError("the program ended")
        data += more
    return data


def serve(code: str, requests: int, answers: int) -> None:
    """Be the program: define what the code defines, then answer calls."""
    names: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(code, "<program>", "exec"), names)
        send(answers, ["defined", None])
        while True:
            name, arguments, named = unpack(receive(requests))
            send(answers, ["value", pack(names[name](*arguments, **named))])
    except BaseException as error:  # noqa: BLE001  (also SystemExit: what it raises is the judge's to know)
        send(answers, ["raised", [type(error).__name__, str(error)[:LONGEST_REASON]]])


def judge(task: dict[str, Any], tests: str, requests: int, answers: int) -> None:
    """Run the tests against the program behind the pipes; returns where every assertion holds."""

    def answer() -> Any:
        kind, content = receive(answers)
        if kind == "raised":
            known = getattr(__builtins__, content[0], None)
            error = known if isinstance(known, type) and issubclass(known, Exception) else RuntimeError
            raise error(f"the program raised {content[0]}: {content[1]}")
        return unpack(content)

    def candidate(*arguments: Any, **named: Any) -> Any:
        send(requests, pack((task["entry_point"], arguments, named)))
        return answer()

    answer()
    names: dict[str, Any] = {"__name__": "tests"}
    exec(compile(task["prelude"], "<prelude>", "exec"), names)  # what the problem itself defines, for the tests
    names[task["entry_point"]] = candidate
    exec(compile(tests, "<tests>", "exec"), names)
    names["check"](candidate)


def judged(task: dict[str, Any]) -> dict[str, Any]:
    """Start the program as a child that knows no test, and judge it."""
    strict = task["mode"] == "strict"
    if strict:
        called("prctl", SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        drop_rights(task["nobody"])
    requests, answers = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        kept = [os.dup2(handle, 10 + at) for at, handle in enumerate((task["nothing"], requests[0], answers[1]))]
        for handle in range(3):
            os.dup2(kept[0], handle)
        os.closerange(3, 10)
        os.closerange(13, 64)
        limit(task["megabytes"], task["seconds"], processes=False)
        serve(task["code"], kept[1], kept[2])
        os._exit(0)
    if strict:
        called("prctl", SET_DUMPABLE, 0, 0, 0, 0)
    os.close(requests[0])
    os.close(answers[1])
    limit(task["megabytes"], task["seconds"], processes=True)
    tests = receive(0)
    try:
        judge(task, tests, requests[1], answers[0])
    except BaseException as error:  # noqa: BLE001  (any way to end that is not through all assertions is a failure)
        return {"passed": False, "reason": f"{type(error).__name__}: {error}"[:LONGEST_REASON]}
    finally:
        os.kill(child, signal.SIGKILL)
    return {"passed": True, "reason": ""}


def main() -> None:
    """Read what to run, confine, judge, write the verdict."""
    verdict, out = os.dup(1), os.open("/dev/null", os.O_RDWR)
    task = receive(0)
    try:
        if task["mode"] == "strict":
            task["nobody"] = FIRST_USER + os.getpid()
            enclose(task["scratch"], task["visible"])
            if (child := os.fork()) != 0:
                os.waitpid(child, 0)
                return
        task["nothing"] = out
        os.dup2(out, 1)
        os.dup2(out, 2)
        found = judged(task)
    except (Refused, OSError) as error:
        found = {"refused": str(error)}
    os.write(verdict, json.dumps(found).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main()
