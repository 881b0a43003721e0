"""After the link: seal RP2040's second boot stage with its CRC, and write the UF2 file that the boot ROM's drive takes.

`python rp2040_image.py FIRMWARE.elf` changes the elf and writes FIRMWARE.uf2 beside it.  RP2040 datasheet,
"Checksum"; UF2: github.com/microsoft/uf2.
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

OBJCOPY = "arm-none-eabi-objcopy"
FLASH_BASE = 0x10000000
BOOT2_BYTES = 252
CRC_POLYNOMIAL = 0x04C11DB7

UF2_BLOCK = struct.Struct("<8I476sI")
UF2_START = (0x0A324655, 0x9E5D5157)
UF2_END = 0x0AB16F30
UF2_FAMILY_PRESENT = 0x00002000
UF2_FAMILY_RP2040 = 0xE48BFF56
UF2_PAYLOAD_BYTES = 256


def boot_crc(code: bytes) -> int:
    """CRC-32 of the boot ROM: polynomial 0x04C11DB7, start 0xFFFFFFFF, bits not reflected, no final XOR."""
    crc = 0xFFFFFFFF
    for byte in code:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (CRC_POLYNOMIAL if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def sealed(boot2: bytes) -> bytes:
    """The 256 bytes of the second stage, with the CRC in the last four."""
    if len(boot2) != BOOT2_BYTES + 4:
        raise ValueError(f"the second stage has {len(boot2)} bytes instead of {BOOT2_BYTES + 4}")
    return boot2[:BOOT2_BYTES] + struct.pack("<I", boot_crc(boot2[:BOOT2_BYTES]))


def uf2(image: bytes) -> bytes:
    """`image`, for the beginning of flash, as UF2 blocks of 256 bytes; the last one is filled with zeros."""
    count = -(-len(image) // UF2_PAYLOAD_BYTES)
    blocks = []
    for number in range(count):
        at = number * UF2_PAYLOAD_BYTES
        payload = image[at : at + UF2_PAYLOAD_BYTES].ljust(UF2_PAYLOAD_BYTES, b"\0")
        head = (*UF2_START, UF2_FAMILY_PRESENT, FLASH_BASE + at, UF2_PAYLOAD_BYTES, number, count, UF2_FAMILY_RP2040)
        blocks.append(UF2_BLOCK.pack(*head, payload, UF2_END))
    return b"".join(blocks)


def main(elf: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        section, image = Path(name) / "boot2", Path(name) / "image"
        subprocess.run([OBJCOPY, "--dump-section", f".boot2={section}", elf, image], check=True)
        section.write_bytes(sealed(section.read_bytes()))
        subprocess.run([OBJCOPY, "--update-section", f".boot2={section}", elf], check=True)
        subprocess.run([OBJCOPY, "-O", "binary", elf, image], check=True)
        elf.with_suffix(".uf2").write_bytes(uf2(image.read_bytes()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
