/** RP2040's second stage: what the boot ROM copies from the first 252 bytes of flash to RAM and runs.
 *
 * It sets up the flash for execution in place with the plain read command, 0x03, which every chip knows, and goes on to
 * the vector table after it.  The four bytes that follow are a CRC-32, which scripts/rp2040_image.py fills in after
 * the link.  RP2040 datasheet, "Boot Sequence" and "SSI".
 *
 * Compared: what is written to SSI with the Pico SDK's boot2_generic_03h.S, which does the same.  Never run on silicon;
 * run in two emulators, of the core and of the chip.
 */
#include <stdint.h>

#include "port.h"

#define SSI_CTRLR0 0x18000000u
#define SSI_CTRLR1 0x18000004u
#define SSI_SSIENR 0x18000008u
#define SSI_BAUDR 0x18000014u
#define SSI_SPI_CTRLR0 0x180000F4u
#define SCB_VTOR 0xE000ED08u

#define VECTORS 0x10000100u

#define CLOCK_DIVIDER 4u                        /* even at 133 MHz within what the command allows */
#define CTRLR0_READ_32 (31u << 16 | 3u << 8)    /* 32 data bits, one line, EEPROM read: command, then data */
#define SPI_READ_24 (0x03u << 24 | 2u << 8 | 6u << 2) /* command 0x03 of 8 bits, address of 24 bits */

void boot2(void) __attribute__((section(".boot2"), used, noreturn));

/* Runs at another address than it is linked for: nothing in it may refer to an address of its own. */
void boot2(void)
{
    REG32(SSI_SSIENR) = 0;
    REG32(SSI_BAUDR) = CLOCK_DIVIDER;
    REG32(SSI_CTRLR0) = CTRLR0_READ_32;
    REG32(SSI_CTRLR1) = 0; /* one word for each read */
    REG32(SSI_SPI_CTRLR0) = SPI_READ_24;
    REG32(SSI_SSIENR) = 1;
    REG32(SCB_VTOR) = VECTORS;
    __asm volatile("msr msp, %0\n\t"
                   "bx %1"
                   :
                   : "r"(REG32(VECTORS)), "r"(REG32(VECTORS + 4u)));
    __builtin_unreachable();
}
