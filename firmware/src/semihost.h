/** Semihosting: files and exit codes of the computer that runs the emulator.
 *
 * Operations as in Arm's "Semihosting for AArch32 and AArch64", and called on RISC-V as in "RISC-V Semihosting".  Only
 * for emulated cores: on silicon without a debugger the breakpoint is a fault.
 */
#ifndef SEMIHOST_H
#define SEMIHOST_H

#include <stdint.h>

typedef enum { SEMIHOST_READ = 1 /* "rb" */, SEMIHOST_WRITE = 5 /* "wb" */ } semihost_mode_t;

/** Copies the command line, ended by 0.  Returns 0 when it does not fit. */
uint32_t semihost_command_line(char *text, uint32_t capacity_bytes);

/** Writes `text` to the computer's terminal. */
void semihost_print(const char *text);

/** Handle of an opened file, -1 when it could not be opened. */
int32_t semihost_open(const char *path, semihost_mode_t mode);

/** Bytes really read: fewer than asked for only at the end of the file. */
uint32_t semihost_read(int32_t file, void *data, uint32_t bytes);

/** 0 when not everything was written. */
uint32_t semihost_write(int32_t file, const void *data, uint32_t bytes);

void semihost_close(int32_t file);

/** Ends the emulator with this exit code. */
void semihost_exit(uint32_t code) __attribute__((noreturn));

#endif
