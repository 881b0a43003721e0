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
"""Headers of POSIX, glibc and newlib."""

ARDUINO_HEADERS = """
arduino client eeprom ethernet ipaddress keyboard mouse print printable sd server servo softwareserial spi stepper
stream udp usb wifi wire wstring
"""
"""In lower case, since some file systems take wire.h for Wire.h."""

HEADERS = frozenset((C_HEADERS + SYSTEM_HEADERS + ARDUINO_HEADERS).split())
RESERVED = {
    "cmake": (
        "CMake knows {} as a target or library",
        "all c clean dl edit_cache gcc help install m package package_source pthread rebuild_cache rt test",
    ),
    "esp-idf": (
        "ESP-IDF has a component {}",
        "app_trace app_update bootloader bt cmock console cxx driver efuse espcoredump fatfs freertos hal heap json "
        "log lwip main mbedtls mqtt newlib openthread perfmon protocomm pthread riscv rt sdmmc soc spiffs ulp unity "
        "usb vfs xtensa",
    ),
    "micropython": (
        "MicroPython has a module {}",
        "array asyncio binascii bluetooth btree builtins cmath collections cryptolib deflate esp esp32 framebuf gc "
        "hashlib heapq io json lwip machine micropython mip neopixel network onewire os platform pyb random re "
        "requests rp2 socket ssl stm struct sys tls uctypes vfs webrepl zephyr zlib",
    ),
}
"""What a format's users already have by a name, and such names."""


def check_header_name(path: str) -> None:
    """Raises SignbitError if a header at `path` would be found in place of one of the system's."""
    name = PurePath(path)
    if name.suffix == ".h" and name.stem.lower() in HEADERS:
        raise SignbitError(f"{path} would hide the system's header <{name.stem.lower()}.h>; choose another name")


def check_package_name(prefix: str, kind: str) -> None:
    """Raises SignbitError if a package of `kind` whose files and targets are called `prefix` would hide others."""
    if prefix in HEADERS:
        raise SignbitError(f"{prefix}.h would hide the system's header of that name; choose another name with --prefix")
    says, words = RESERVED.get(kind, ("", ""))
    if prefix in words.split():
        raise SignbitError(f"{says.format(repr(prefix))}; choose another name with --prefix")
