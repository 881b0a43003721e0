"""What other projects call the cores that run the code of each target, by the target's name."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Kconfig:
    """A condition on Zephyr's configuration."""

    depends: str
    """For a symbol of Kconfig."""
    sets: tuple[str, ...] = ()
    """Symbols of the condition that an application sets."""

    @property
    def filter(self) -> str:
        """The same for Zephyr's test runner."""
        words = {"&&": "and", "||": "or"}
        parts = re.sub(r"\w+", r"CONFIG_\g<0>", self.depends).split()
        return " ".join(words.get(part, part) for part in parts)


_SAMD_AND_PICO = "samd,rp2040,mbed_rp2040,stm32"

ARDUINO = {
    "portable": "*",
    "cortex-m0": _SAMD_AND_PICO,
    "cortex-m0plus": _SAMD_AND_PICO,
    "cortex-m3": "sam,stm32",
    "cortex-m4": "samd,nrf52,mbed,mbed_nano,renesas_uno,stm32",
    "cortex-m7": "mbed_portenta,mbed_giga,mbed_opta,teensy,stm32",
    "cortex-m33": "renesas_portenta,rp2040,stm32",
    "riscv32": "esp32",
}
"""Architectures of boards' packages; a package has other cores, too, on which the header refuses to compile."""

ZEPHYR = {
    "portable": None,
    "cortex-m0": Kconfig("CPU_CORTEX_M0 || CPU_CORTEX_M0PLUS"),
    "cortex-m0plus": Kconfig("CPU_CORTEX_M0 || CPU_CORTEX_M0PLUS"),
    "cortex-m3": Kconfig("CPU_CORTEX_M3"),
    "cortex-m4": Kconfig("CPU_CORTEX_M4 || CPU_CORTEX_M7"),
    "cortex-m7": Kconfig("CPU_CORTEX_M4 || CPU_CORTEX_M7"),
    "cortex-m33": Kconfig("CPU_CORTEX_M33 && ARMV8_M_DSP"),
    "cortex-m55": Kconfig("CPU_CORTEX_M55 && ARMV8_1_M_MVEI && FPU", ("FPU",)),
    "riscv32": Kconfig("RISCV_ISA_RV32I && RISCV_ISA_EXT_M"),
    "riscv32e": Kconfig("RISCV_ISA_RV32E && RISCV_ISA_EXT_M"),
}

ESP_IDF = {
    "portable": (),
    "riscv32": ("esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32p4"),
}
"""Chips; () is all of them."""

_M0 = ('Dcore="Cortex-M0"', 'Dcore="Cortex-M0+"')
_M4 = ('Dcore="Cortex-M4"', 'Dcore="Cortex-M7"')
CMSIS = {
    "portable": (),
    "cortex-m0": _M0,
    "cortex-m0plus": _M0,
    "cortex-m3": ('Dcore="Cortex-M3"',),
    "cortex-m4": _M4,
    "cortex-m7": _M4,
    "cortex-m33": ('Dcore="Cortex-M33" Ddsp="DSP"',),
    "cortex-m55": ('Dcore="Cortex-M55" Dmve="MVE"', 'Dcore="Cortex-M55" Dmve="FP_MVE"'),
}
"""Attributes of CMSIS-Pack's conditions, of which a device has to fit one; () is any device."""
