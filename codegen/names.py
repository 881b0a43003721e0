"""Names that a header or a package can't have: something else is looked for by them, and would not be found."""

from pathlib import PurePath

from signbit.qmodel.errors import SignbitError

C_HEADERS = """
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic stdbit
stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
"""
SYSTEM_HEADERS = """
aio alloca ar byteswap cpio dirent dlfcn elf endian err error execinfo fcntl features fmtmsg fnmatch ftw getopt glob grp
iconv ieeefp langinfo libgen libintl link malloc memory mntent monetary mqueue ndbm netdb newlib nl_types paths poll
pthread pty pwd reent regex resolv sched search semaphore shadow spawn strings stropts syscall syslog tar termio termios
trace ucontext ulimit unistd utime utmp utmpx values wait wordexp
"""
"""Of POSIX, glibc and newlib."""

ARDUINO_HEADERS = """
arduino client eeprom ethernet ipaddress keyboard mouse print printable sd server servo softwareserial spi stepper
stream udp usb wifi wire wstring
"""
"""In lower case, since some file systems take wire.h for Wire.h."""

HEADERS = frozenset((C_HEADERS + SYSTEM_HEADERS + ARDUINO_HEADERS).split())
CMAKE_TARGETS = """
all c clean dl edit_cache gcc help install m package package_source pthread rebuild_cache rt test
"""
"""CMake's own targets, and libraries that projects link by the bare name."""


def check_header_name(path: str) -> None:
    """Raises SignbitError if a header at `path` would be found in place of one of the system's."""
    name = PurePath(path)
    if name.suffix == ".h" and name.stem.lower() in HEADERS:
        raise SignbitError(f"{path} would hide the system's header <{name.stem.lower()}.h>; choose another name")


def check_package_name(prefix: str, kind: str) -> None:
    """Raises SignbitError if a package of `kind` whose files and targets are called `prefix` would hide others."""
    if prefix in HEADERS:
        raise SignbitError(f"{prefix}.h would hide the system's header of that name; choose another name with --prefix")
    if kind == "cmake" and prefix in CMAKE_TARGETS.split():
        raise SignbitError(f"CMake knows {prefix!r} as a target or library; choose another name with --prefix")
