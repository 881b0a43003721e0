/* QEMU TCG plugin: exact number of instructions between two marks in the guest's code, and an estimate of cycles.
 *
 * `mov r9, r9` starts a count; `mov r10, r10` ends it and writes a line to the file that `out=` names: instructions,
 * then, on Arm, the cycles of each model in cycles.h, in its order.  On RISC-V the marks are `addi zero, zero, 9` and
 * 10.  The marks themselves are not counted.  `assembly=` names a file with the addresses of the first and the last
 * instruction of each piece of assembly; then each line ends with the instructions of these.  Debian ships no
 * qemu-plugin.h, so the few functions of the plugin API (docs/devel/tcg-plugins in QEMU's sources) are declared here.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cycles.h"

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1 /* QEMU 7.2 and 8.2; later ones want 2 and more */
#endif
#define EXPORT __attribute__((visibility("default")))
#define START 0x46c9u /* mov r9, r9 */
#define STOP 0x46d2u  /* mov r10, r10 */
#define PIECES_MAX 4096
#define RISCV_START 0x00900013u /* addi zero, zero, 9 */
#define RISCV_STOP 0x00a00013u

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char *target_name; /* the first of its members */
} qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_t)(unsigned int, void *);
typedef void (*exited_t)(qemu_plugin_id_t, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed_t, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exited_t, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
#if PLUGIN_VERSION >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

static FILE *out;
static int is_riscv;
static uint64_t executed, in_assembly, cycles[CYCLE_MODELS];
static struct {
    uint32_t first, last;
} pieces[PIECES_MAX];
static unsigned piece_count;
static const instruction_t *before; /* the last one executed since the start, or NULL */

/* Only now is it known where the instruction before has led to. */
static void add_refill(uint32_t address)
{
    for (int model = 0; before != NULL && model < CYCLE_MODELS; model++) {
        cycles[model] += refill_of(before, address, model);
    }
}

static void on_riscv_instruction(unsigned int cpu, void *data)
{
    (void)cpu;
    (void)data;
    executed++;
}

static void on_instruction(unsigned int cpu, void *data)
{
    const instruction_t *it = data;

    (void)cpu;
    add_refill(it->address);
    executed++;
    in_assembly += it->is_assembly;
    for (int model = 0; model < CYCLE_MODELS; model++) {
        cycles[model] += cycles_of(it, before, model);
    }
    before = it;
}

static void on_start(unsigned int cpu, void *data)
{
    (void)cpu;
    (void)data;
    executed = 0;
    in_assembly = 0;
    memset(cycles, 0, sizeof cycles);
    before = NULL;
}

static void on_stop(unsigned int cpu, void *data)
{
    const instruction_t *it = data;

    (void)cpu;
    fprintf(out, "%" PRIu64, executed);
    if (!is_riscv) {
        add_refill(it->address);
    }
    for (int model = 0; !is_riscv && model < CYCLE_MODELS; model++) {
        fprintf(out, " %" PRIu64, cycles[model]);
    }
    if (piece_count > 0) {
        fprintf(out, " %" PRIu64, in_assembly);
    }
    fputc('\n', out);
}

static void read_bytes(const struct qemu_plugin_insn *instruction, void *bytes, size_t size)
{
#if PLUGIN_VERSION >= 3
    qemu_plugin_insn_data(instruction, bytes, size);
#else
    memcpy(bytes, qemu_plugin_insn_data(instruction), size);
#endif
}

/* The instruction's own bits give its size.  QEMU 7.2 also passes what it read ahead at the end of a page, so that a
 * short instruction there has two bytes too many. */
static unsigned read_halfwords(const struct qemu_plugin_insn *instruction, uint16_t halfwords[2])
{
    size_t bytes = qemu_plugin_insn_size(instruction);

    read_bytes(instruction, halfwords, bytes < 4 ? bytes : 4);
    return halfwords[0] >= 0xe800 ? 4 : 2;
}

static int is_assembly(uint32_t address)
{
    for (unsigned index = 0; index < piece_count; index++) {
        if (address >= pieces[index].first && address <= pieces[index].last) {
            return 1;
        }
    }
    return 0;
}

static int read_pieces(const char *name)
{
    FILE *file = fopen(name, "r");

    if (file == NULL) {
        return -1;
    }
    while (piece_count < PIECES_MAX
           && fscanf(file, "%" SCNu32 " %" SCNu32, &pieces[piece_count].first, &pieces[piece_count].last) == 2) {
        piece_count++;
    }
    return fclose(file);
}

static void on_riscv_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);

    (void)id;
    for (size_t index = 0; index < count; index++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, index);
        uint32_t word = 0;
        executed_t action = on_riscv_instruction;

        read_bytes(instruction, &word, qemu_plugin_insn_size(instruction) < 4 ? 2 : 4);
        if (word == RISCV_START || word == RISCV_STOP) {
            action = word == RISCV_START ? on_start : on_stop;
        }
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, action, QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
}

/* What is decoded here is kept to the end: QEMU does not report when it drops a translation. */
static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);
    (void)id;
    for (size_t index = 0; index < count; index++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, index);
        instruction_t *decoded = malloc(sizeof *decoded);
        uint16_t halfwords[2] = {0, 0};
        unsigned bytes = read_halfwords(instruction, halfwords);
        executed_t action = on_instruction;

        if (decoded == NULL) {
            abort();
        }
        decode(decoded, halfwords, (uint32_t)qemu_plugin_insn_vaddr(instruction), bytes);
        decoded->is_assembly = is_assembly(decoded->address);
        if (bytes == 2 && (halfwords[0] == START || halfwords[0] == STOP)) {
            action = halfwords[0] == START ? on_start : on_stop;
        }
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, action, QEMU_PLUGIN_CB_NO_REGS, decoded);
    }
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    is_riscv = strcmp(info->target_name, "riscv32") == 0;
    for (int index = 0; index < argc; index++) {
        if (strncmp(argv[index], "out=", 4) == 0) {
            out = fopen(argv[index] + 4, "w");
        } else if (strncmp(argv[index], "assembly=", 9) == 0 && read_pieces(argv[index] + 9) != 0) {
            return -1;
        }
    }
    if (out == NULL) {
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, is_riscv ? on_riscv_translation : on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
