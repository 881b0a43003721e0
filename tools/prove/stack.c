/* Calls a function with known values in all registers that it must keep, on a painted stack.  For Cortex-M. */
#include <stdint.h>

#define PAINT_BYTES 4096
#define PAINT "0xA5"

#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
#define EACH_VECTOR(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define SAVE_VECTORS "vpush {d8-d15}\n"
#define RESTORE_VECTORS "vpop {d8-d15}\n"
#define FILL_VECTOR(n) "movs r4, #0x" #n "\nvmov d" #n ", r4, r4\n"
#define CHECK_VECTOR(n) "vmov r1, r2, d" #n "\ncmp r1, #0x" #n "\nbne 4f\ncmp r2, #0x" #n "\nbne 4f\n"
#define FILL_VECTORS EACH_VECTOR(FILL_VECTOR)
#define CHECK_VECTORS EACH_VECTOR(CHECK_VECTOR)
#else
#define SAVE_VECTORS
#define RESTORE_VECTORS
#define FILL_VECTORS
#define CHECK_VECTORS
#endif

typedef uint32_t (*predict_t)(const uint8_t *input, void *scratch);

/* Bytes of stack that the call used, times two; plus one if a register was not kept. */
uint32_t stack_probe(predict_t predict, const uint8_t *input, void *scratch);

__asm(".text\n.syntax unified\n.thumb\n.align 2\n.thumb_func\n.type stack_probe, %function\nstack_probe:\n"
      "push {r4-r7, lr}\n"
      "mov r4, r8\nmov r5, r9\nmov r6, r10\nmov r7, r11\n"
      "push {r3-r7}\n" /* r3 for an even number of words */
      SAVE_VECTORS
      "mov r12, r0\nmovs r0, r1\nmovs r1, r2\n"
      "mov r5, sp\nmovs r4, #1\nlsls r4, r4, #10\nmovs r3, #" PAINT "\n" /* 1024 words */
      "1: subs r5, r5, #4\nstr r3, [r5]\nsubs r4, r4, #1\nbne 1b\n" FILL_VECTORS
      "movs r4, #0x18\nmov r8, r4\nmovs r4, #0x19\nmov r9, r4\nmovs r4, #0x1A\nmov r10, r4\n"
      "movs r4, #0x1B\nmov r11, r4\nmovs r4, #0x14\nmovs r5, #0x15\nmovs r6, #0x16\nmovs r7, #0x17\n"
      "blx r12\n"
      "movs r0, #1\n"
      "cmp r4, #0x14\nbne 4f\ncmp r5, #0x15\nbne 4f\ncmp r6, #0x16\nbne 4f\ncmp r7, #0x17\nbne 4f\n"
      "mov r1, r8\ncmp r1, #0x18\nbne 4f\nmov r1, r9\ncmp r1, #0x19\nbne 4f\n"
      "mov r1, r10\ncmp r1, #0x1A\nbne 4f\nmov r1, r11\ncmp r1, #0x1B\nbne 4f\n" CHECK_VECTORS
      "movs r0, #0\n"
      "4: mov r5, sp\nmovs r4, #1\nlsls r4, r4, #10\nlsls r6, r4, #2\nsubs r5, r5, r6\n"
      "2: ldr r3, [r5]\ncmp r3, #" PAINT "\nbne 3f\nadds r5, r5, #4\nsubs r4, r4, #1\nbne 2b\n"
      "3: lsls r4, r4, #3\norrs r0, r4\n" RESTORE_VECTORS
      "pop {r3-r7}\nmov r8, r4\nmov r9, r5\nmov r10, r6\nmov r11, r7\n"
      "pop {r4-r7, pc}\n.size stack_probe, . - stack_probe\n");
