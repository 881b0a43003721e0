/* Code whose instructions and cycles are known: the first counts of every program, which tools/cores/emulated.py
 * checks.
 *
 * The marks are inside the assembly, so that the compiler can put nothing between them.
 */
#ifdef __riscv
#define CALIBRATION_START ".option push; .option norvc; addi zero, zero, 9; .option pop\n\t"
#define CALIBRATION_STOP ".option push; .option norvc; addi zero, zero, 10; .option pop\n\t"

static void calibrate(void)
{
    uint32_t words[2] = {0, 0};

    __asm volatile(CALIBRATION_START CALIBRATION_STOP);

    /* 1 + 100 * 2 instructions */
    __asm volatile(CALIBRATION_START
                   "li   a0, 100\n"
                   "1:\n\t"
                   "addi a0, a0, -1\n\t"
                   "bnez a0, 1b\n\t" CALIBRATION_STOP ::: "a0");

    /* 1 + 100 * 5 */
    __asm volatile(CALIBRATION_START
                   "li   a0, 100\n"
                   "1:\n\t"
                   "nop\n\t"
                   "nop\n\t"
                   "nop\n\t"
                   "addi a0, a0, -1\n\t"
                   "bnez a0, 1b\n\t" CALIBRATION_STOP ::: "a0");

    /* loads, stores and a call: 1 + 50 * 9 */
    __asm volatile("j    2f\n"
                   "1:\n\t"
                   "xor  a1, a1, a2\n\t"
                   "ret\n"
                   "2:\n\t" CALIBRATION_START
                   "li   a0, 50\n"
                   "3:\n\t"
                   "lw   a1, 0(%0)\n\t"
                   "lw   a2, 4(%0)\n\t"
                   "sw   a1, 4(%0)\n\t"
                   "sw   a2, 0(%0)\n\t"
                   "jal  1b\n\t"
                   "addi a0, a0, -1\n\t"
                   "bnez a0, 3b\n\t" CALIBRATION_STOP ::"r"(words)
                   : "a0", "a1", "a2", "ra", "memory");
}
#else
#define CALIBRATION_START "mov r9, r9\n\t"
#define CALIBRATION_STOP "mov r10, r10\n\t"

static void calibrate(void)
{
    uint32_t words[2] = {0, 0};

    __asm volatile(".syntax unified\n\t" CALIBRATION_START CALIBRATION_STOP);

    /* 1 + 100 * 2 instructions */
    __asm volatile(".syntax unified\n\t" CALIBRATION_START
                   "movs r0, #100\n"
                   "1:\n\t"
                   "subs r0, #1\n\t"
                   "bne  1b\n\t" CALIBRATION_STOP ::: "r0", "cc");

    /* 1 + 100 * 5 */
    __asm volatile(".syntax unified\n\t" CALIBRATION_START
                   "movs r0, #100\n"
                   "1:\n\t"
                   "nop\n\t"
                   "nop\n\t"
                   "nop\n\t"
                   "subs r0, #1\n\t"
                   "bne  1b\n\t" CALIBRATION_STOP ::: "r0", "cc");

    /* loads, stores and a call: 1 + 50 * 9 */
    __asm volatile(".syntax unified\n\t"
                   "b    2f\n"
                   "1:\n\t"
                   "push {r4, lr}\n\t"
                   "pop  {r4, pc}\n"
                   "2:\n\t" CALIBRATION_START
                   "movs r0, #50\n"
                   "3:\n\t"
                   "ldr  r1, [%0]\n\t"
                   "ldr  r2, [%0, #4]\n\t"
                   "str  r1, [%0, #4]\n\t"
                   "str  r2, [%0]\n\t"
                   "bl   1b\n\t"
                   "subs r0, #1\n\t"
                   "bne  3b\n\t" CALIBRATION_STOP ::"l"(words)
                   : "r0", "r1", "r2", "lr", "cc", "memory");
}
#endif
