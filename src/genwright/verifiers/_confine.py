"""What the kernel is asked to forbid a checked program: views of the machine, calls, resources.

Imported by `_zygote.py` in a bare interpreter, so standard library only. Each function either does
what it says or raises OSError; who calls it decides what is left without it.

Sources: Linux man pages namespaces(7), pivot_root(2), mount_setattr(2), landlock(7), seccomp(2),
setrlimit(2), and include/uapi/linux/{landlock,seccomp,filter}.h for the layouts.
"""

import ctypes
import os
import platform
import resource
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_BIND, _REC, _PRIVATE, _NOSUID, _NODEV = 4096, 16384, 1 << 18, 2, 4
_DETACH = 2

DEVICES = ("null", "zero", "full", "random", "urandom")

# Calls refused with EPERM, by their numbers on x86_64 and aarch64. None of them is needed to
# compute; each has a history of holes, reaches other processes, starts other programs, or leaves
# something behind that outlives the process (System V IPC, message queues, keys).
_NEVER = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "execve": (59, 221), "execveat": (322, 281),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "mount_setattr": (442, 442),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "open_by_handle_at": (304, 265),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "quotactl": (179, 60), "setdomainname": (171, 162),
    "sethostname": (170, 161), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "process_madvise": (440, 440), "kcmp": (312, 272),
    "personality": (135, 92), "memfd_secret": (447, 447),
}  # fmt: skip
_SOMETIMES = {
    "socket": (41, 198), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "clone": (56, 220), "clone3": (435, 435), "prctl": (157, 167),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
# Calls that change what a file says of itself; Landlock does not watch them.
_METADATA = {
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "lchown": (94, -1), "fchown": (93, 55), "fchownat": (260, 54),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
}  # fmt: skip
# In namespaces the warm parent lives under the filter too (a filter a check would cost a quarter of
# the rate) and needs these. Checks have none of the capabilities that they ask for.
_OF_WARM_PARENT = ("mount", "umount2", "setns", "unshare")
_CALLS = {**_NEVER, **_SOMETIMES, **_METADATA}
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS = 1, 8, 38
NEW_NAMESPACES, CAP_DAC_READ_SEARCH = 0x7E020000, 2

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}


def _call(name: str, *args: object) -> int:
    result = getattr(_libc, name)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _syscall(*args: object) -> int:
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return _call("syscall", *wide)


def prctl(option: int, value: int = 0) -> None:
    """Set one attribute of this process."""
    _call("prctl", option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3)


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its later children) into new namespaces."""
    _call("unshare", flags)


def back_to(pid_namespace: int) -> None:
    """Let later children be born in the pid namespace behind this descriptor."""
    _call("setns", pid_namespace, CLONE_NEWPID)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    _call(
        "mount", source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags),
        data.encode() or None,
    )  # fmt: skip


def leave_namespaces(*, network: bool) -> None:
    """Leave the machine's mounts, IPC, host name, processes (for children) and network.

    Args:
        network: True keeps the machine's network.
    """
    flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID
    flags |= 0 if network else CLONE_NEWNET
    user, group = os.getuid(), os.getgid()
    if user == 0:
        unshare(flags)
        return
    unshare(flags | CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def private_root(base: str, *, disk_mb: int, network: bool) -> None:
    """Change the root for a tree of our own.

    It holds the system libraries and this Python, both read-only, five harmless devices, and
    `/work`: an empty file system in memory. `/tmp` and `/dev/shm` lead to `/work`.

    Args:
        base: an empty folder to build the new root on.
        disk_mb: size of `/work`.
        network: True shows `/etc` too, which name resolution reads.
    """
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("tmpfs", base, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    python = [] if sys.base_prefix.startswith("/usr") else [sys.base_prefix]
    for path in ["/usr", "/lib", "/lib64", *python, *(["/etc"] if network else [])]:
        _bind(path, base + path)
    os.mkdir(f"{base}/dev")
    for name in DEVICES:
        open(f"{base}/dev/{name}", "x").close()
        _mount(f"/dev/{name}", f"{base}/dev/{name}", None, _BIND)
    os.symlink("/work", f"{base}/tmp")
    os.symlink("/work", f"{base}/dev/shm")
    os.mkdir(f"{base}/work")
    os.mkdir(f"{base}/old")
    os.chdir(base)
    _call("pivot_root", b".", b"old")
    os.chdir("/")
    _call("umount2", b"/old", _DETACH)
    os.rmdir("/old")
    fresh_work(disk_mb)


def _bind(path: str, target: str) -> None:
    """Show a folder read-only, mounts below it included; a link stays a link."""
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
    elif os.path.isdir(path):
        os.makedirs(target)
        _mount(path, target, None, _BIND | _REC)
        read_only = struct.pack("4Q", 0x7, 0, 0, 0)  # RDONLY | NOSUID | NODEV
        _syscall(442, -100, target.encode(), 0x8000, read_only, len(read_only))


def fresh_work(disk_mb: int) -> None:
    """Mount an empty `/work`; what was mounted there goes, however many files it held."""
    while os.path.ismount("/work"):
        _call("umount2", b"/work", _DETACH)
    _mount("tmpfs", "/work", "tmpfs", _NOSUID | _NODEV, f"size={disk_mb}m,nr_inodes=4096,mode=777")


def landlock(work: str) -> None:
    """Allow this process to write below `work` only, and to read there and what Python needs."""
    version = _syscall(444, 0, 0, 1)
    everything = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    scope = 0b11 if version >= 6 else 0  # no signals, no abstract sockets to the outside
    size = 24 if version >= 6 else 8
    attributes = struct.pack("3Q", everything, 0, scope)[:size]
    rules = _syscall(444, attributes, size, 0)
    read_file, read = 0b100, 0b1100
    allowed = [(path, read) for path in ("/usr", "/lib", "/lib64", sys.base_prefix)]
    allowed += [(f"/dev/{name}", read_file | 0b10) for name in DEVICES]
    for path, rights in [*allowed, (work, everything & ~0b1)]:
        if os.path.exists(path):
            folder = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
            _syscall(445, rules, 1, struct.pack("=Qi", rights, folder), 0)
            os.close(folder)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    _syscall(446, rules, 0)
    os.close(rules)


def seccomp_filter(*, network: bool, alone: bool) -> bytes:
    """Return a filter (struct sock_filter[]) that refuses what a computation does not need.

    Args:
        network: True leaves sockets alone; otherwise only `socketpair` is left.
        alone: for one check that no namespaces hold. Signals to any but this process and its group,
            and changes of what a file says of itself, are refused too.
    """
    column, architecture = _MACHINES[platform.machine()]
    load, equal, at_least, both, end = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, absent = 0x7FFF0000, 0x00050001, 0x00050026  # allow; EPERM; ENOSYS
    number, first_argument = 0, 16
    program: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4), (equal, 1, 0, architecture), (end, 0, 0, 0x80000000),  # kill the process
        (load, 0, 0, number), (at_least, 0, 1, 0x40000000), (end, 0, 0, refuse),  # the x32 table
    ]  # fmt: skip

    def refuse_call(name: str, action: int = refuse) -> None:
        add(name, [(end, 0, 0, action)])

    def judge(name: str, test: int, values: list[int], matched: int, otherwise: int) -> None:
        """Act on a call by whether its first argument passes the test with any of the values."""
        tests = [(test, len(values) - i, 0, value) for i, value in enumerate(values)]
        outcomes = [(end, 0, 0, otherwise), (end, 0, 0, matched)]
        add(name, [(load, 0, 0, first_argument), *tests, *outcomes])

    def add(name: str, body: list[tuple[int, int, int, int]]) -> None:
        call = _CALLS[name][column]
        if call >= 0:
            program.append((equal, 0, len(body), call))
            program.extend(body)

    for name in _NEVER:
        if alone or name not in _OF_WARM_PARENT:
            refuse_call(name)
    refuse_call(
        "clone3", absent
    )  # its flags lie in memory, out of a filter's sight; libc falls back
    judge("clone", both, [NEW_NAMESPACES], refuse, allow)
    if not network:
        refuse_call("socket")
    if not alone:
        judge("unshare", equal, [CLONE_NEWPID], allow, refuse)
    else:
        judge("prctl", equal, [PR_SET_PDEATHSIG], refuse, allow)  # it dies with the warm parent
        me = os.getpid()
        judge("kill", equal, [me, 0], allow, refuse)
        judge("tgkill", equal, [me], allow, refuse)
        judge("tkill", equal, [me], allow, refuse)
        for name in ("rt_sigqueueinfo", "rt_tgsigqueueinfo", *_METADATA):
            refuse_call(name)
    program.append((end, 0, 0, allow))

    return b"".join(struct.pack("=HBBI", *row) for row in program)


def seccomp(rules: bytes) -> None:
    """Put this process under a filter for good."""
    buffer = ctypes.create_string_buffer(rules, len(rules))
    header = struct.pack("HxxxxxxQ", len(rules) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    _call("prctl", 22, ctypes.c_ulong(2), header, ctypes.c_ulong(0), ctypes.c_ulong(0))


def limits(**wanted: int) -> None:
    """Set resource limits by name, soft and hard; what this process starts inherits them."""
    for name, limit in wanted.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is not None:
            _, hard = resource.getrlimit(which)
            bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            try:
                resource.setrlimit(which, (bound, bound))
            except (OSError, ValueError):
                if name != "AS":  # macOS refuses a limit of the address space
                    raise


def keep_capabilities(mask: int) -> None:
    """Give up all capabilities, such as a user namespace granted, but those in the mask."""
    header = struct.pack("Ii", 0x20080522, 0)
    sets = struct.pack("6I", mask, mask, 0, 0, 0, 0)
    _syscall((126, 91)[_MACHINES[platform.machine()][0]], header, sets)


def become(user: int, *, reader: bool = False) -> None:
    """Give up root for a user that owns nothing.

    Args:
        user: its number, and that of its group.
        reader: keep the right to read any file, for a Python that lies in root's own folder. Only
            for who has Landlock on top, which then says what may be read.
    """
    os.setgroups([])
    os.setresgid(user, user, user)
    if reader:
        prctl(PR_SET_KEEPCAPS, 1)
    os.setresuid(user, user, user)
    if reader:
        keep_capabilities(1 << CAP_DAC_READ_SEARCH)
