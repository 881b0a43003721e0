/* QEMU TCG plugin: exact number of instructions between two marks in the guest's code.
 *
 * `mov r9, r9` starts a count, `mov r10, r10` ends it and writes it, one decimal number a line, to the file that
 * `out=` names.  The marks themselves are not counted.  Debian ships no qemu-plugin.h, so the few functions of the
 * plugin API (docs/devel/tcg-plugins in QEMU's sources) are declared here.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1 /* QEMU 7.2 and 8.2; later ones want 2 and more */
#endif
#define EXPORT __attribute__((visibility("default")))
#define START 0x46c9u /* mov r9, r9 */
#define STOP 0x46d2u  /* mov r10, r10 */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;
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
#if PLUGIN_VERSION >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

static FILE *out;
static uint64_t executed, started;

static void on_instruction(unsigned int cpu, void *data)
{
    (void)cpu;
    (void)data;
    executed++;
}

static void on_start(unsigned int cpu, void *data)
{
    (void)cpu;
    (void)data;
    started = executed;
}

static void on_stop(unsigned int cpu, void *data)
{
    (void)cpu;
    (void)data;
    fprintf(out, "%" PRIu64 "\n", executed - started);
}

static uint32_t first_halfword(const struct qemu_plugin_insn *instruction)
{
    uint16_t halfword = 0;
#if PLUGIN_VERSION >= 3
    qemu_plugin_insn_data(instruction, &halfword, sizeof halfword);
#else
    memcpy(&halfword, qemu_plugin_insn_data(instruction), sizeof halfword);
#endif
    return halfword;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);
    (void)id;
    for (size_t index = 0; index < count; index++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, index);
        uint32_t code = qemu_plugin_insn_size(instruction) == 2 ? first_halfword(instruction) : 0;
        executed_t action = code == START ? on_start : code == STOP ? on_stop : on_instruction;
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, action, QEMU_PLUGIN_CB_NO_REGS, NULL);
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
    (void)info;
    for (int index = 0; index < argc; index++) {
        if (strncmp(argv[index], "out=", 4) == 0) {
            out = fopen(argv[index] + 4, "w");
        }
    }
    if (out == NULL) {
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
