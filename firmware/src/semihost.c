#include "semihost.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
};

#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

#ifdef __riscv
/* The three instructions that mark a call, all of four bytes and on one page. */
static uint32_t call(uint32_t operation, const uint32_t *arguments)
{
    register uint32_t a0 __asm("a0") = operation;
    register const uint32_t *a1 __asm("a1") = arguments;

    __asm volatile(".option push\n\t"
                   ".option norvc\n\t"
                   ".balign 16\n\t"
                   "slli zero, zero, 0x1f\n\t"
                   "ebreak\n\t"
                   "srai zero, zero, 7\n\t"
                   ".option pop"
                   : "+r"(a0)
                   : "r"(a1)
                   : "memory");
    return a0;
}
#else
static uint32_t call(uint32_t operation, const uint32_t *arguments)
{
    register uint32_t r0 __asm("r0") = operation;
    register const uint32_t *r1 __asm("r1") = arguments;

    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
#endif

static uint32_t word(const void *pointer)
{
    return (uint32_t)(uintptr_t)pointer;
}

static uint32_t text_bytes(const char *text)
{
    uint32_t bytes = 0;

    while (text[bytes] != '\0') {
        bytes++;
    }
    return bytes;
}

uint32_t semihost_command_line(char *text, uint32_t capacity_bytes)
{
    const uint32_t arguments[] = { word(text), capacity_bytes };

    return call(SYS_GET_CMDLINE, arguments) == 0u;
}

/* The one operation whose argument is not a block of words. */
void semihost_print(const char *text)
{
    (void)call(SYS_WRITE0, (const uint32_t *)(uintptr_t)text);
}

int32_t semihost_open(const char *path, semihost_mode_t mode)
{
    const uint32_t arguments[] = { word(path), mode, text_bytes(path) };

    return (int32_t)call(SYS_OPEN, arguments);
}

uint32_t semihost_read(int32_t file, void *data, uint32_t bytes)
{
    const uint32_t arguments[] = { (uint32_t)file, word(data), bytes };
    uint32_t missing = call(SYS_READ, arguments); /* the call returns what it did not read */

    return missing <= bytes ? bytes - missing : 0u;
}

uint32_t semihost_write(int32_t file, const void *data, uint32_t bytes)
{
    const uint32_t arguments[] = { (uint32_t)file, word(data), bytes };

    return call(SYS_WRITE, arguments) == 0u;
}

void semihost_close(int32_t file)
{
    const uint32_t arguments[] = { (uint32_t)file };

    (void)call(SYS_CLOSE, arguments);
}

void semihost_exit(uint32_t code)
{
    const uint32_t arguments[] = { ADP_STOPPED_APPLICATION_EXIT, code };

    for (;;) {
        (void)call(SYS_EXIT_EXTENDED, arguments);
    }
}
