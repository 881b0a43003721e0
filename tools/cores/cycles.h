/* Estimated cycles of Thumb instructions, from Arm's timing tables with zero wait states.
 *
 *   M0   Cortex-M0 Technical Reference Manual, ARM DDI 0432C, table 3-1 (with the multiplier of one cycle)
 *   M0+  Cortex-M0+ Technical Reference Manual, ARM DDI 0484C, table 3-1 (with the multiplier of one cycle)
 *   M3   Cortex-M3 Technical Reference Manual, ARM DDI 0337I, table 3-1 and section 3.3.2, load/store timings
 *   M4   Cortex-M4 Technical Reference Manual, ARM 100166, tables 3-1 and 7-1 (floating point)
 *
 * Where a table gives a range, its middle is taken: 2 for the 1 to 3 cycles of a pipeline refill, 7 for the 2 to 12 of
 * a division, 4 and 5 for M3's long multiplications.  Every instruction of an IT block costs what it costs when its
 * condition holds.  Wait states, contention between code and data, and waiting for a floating-point result are left
 * out.  M7, M33 and M55 issue two instructions at once, have caches, or overlap vector instructions: no model here.
 * The tests compare the model with sums worked out by hand; not every figure was compared with its manual again.
 */
#include <stdbool.h>
#include <stdint.h>

enum { M0, M0PLUS, M3, M4, CYCLE_MODELS };

#define NO_REGISTER 16
#define PC 15

typedef enum {
    SIMPLE,
    SYSTEM,
    LOAD,
    STORE,
    STORE_INDEXED, /* the address is the sum of two registers */
    DOUBLE,
    MULTIPLE,
    EXCLUSIVE,
    LOAD_PC,
    POP_PC,
    BRANCH,
    CALL,
    TABLE_BRANCH,
    MULTIPLY_ADD,
    MULTIPLY_LONG,
    MULTIPLY_ADD_LONG,
    DIVIDE,
    FLOAT_MEMORY,
    FLOAT_MULTIPLY_ADD,
    FLOAT_DIVIDE,
    FLOAT_TWO_REGISTERS,
    KINDS
} kind_t;

/* `cycles` and one for each register of a list; `refill` comes on top when the next instruction is not the one after */
static const struct {
    uint8_t cycles[CYCLE_MODELS], refill[CYCLE_MODELS];
} COSTS[KINDS] = {
    /*                        M0 M0+ M3 M4     M0 M0+ M3 M4 */
    [SIMPLE] =              {{1, 1, 1, 1},    {2, 1, 2, 2}}, /* ADD and MOV may write PC */
    [SYSTEM] =              {{4, 3, 1, 1},    {0, 0, 0, 0}},
    [LOAD] =                {{2, 2, 2, 2},    {0, 0, 0, 0}},
    [STORE] =               {{2, 2, 1, 1},    {0, 0, 0, 0}},
    [STORE_INDEXED] =       {{2, 2, 2, 2},    {0, 0, 0, 0}},
    [DOUBLE] =              {{0, 0, 3, 3},    {0, 0, 0, 0}},
    [MULTIPLE] =            {{1, 1, 1, 1},    {0, 0, 0, 0}},
    [EXCLUSIVE] =           {{0, 0, 2, 2},    {0, 0, 0, 0}},
    [LOAD_PC] =             {{0, 0, 2, 2},    {0, 0, 2, 2}},
    [POP_PC] =              {{1, 1, 1, 1},    {3, 2, 2, 2}},
    [BRANCH] =              {{1, 1, 1, 1},    {2, 1, 2, 2}},
    [CALL] =                {{2, 2, 1, 1},    {2, 1, 2, 2}},
    [TABLE_BRANCH] =        {{0, 0, 2, 2},    {0, 0, 2, 2}},
    [MULTIPLY_ADD] =        {{0, 0, 2, 1},    {0, 0, 0, 0}},
    [MULTIPLY_LONG] =       {{0, 0, 4, 1},    {0, 0, 0, 0}},
    [MULTIPLY_ADD_LONG] =   {{0, 0, 5, 1},    {0, 0, 0, 0}},
    [DIVIDE] =              {{0, 0, 7, 7},    {0, 0, 0, 0}},
    [FLOAT_MEMORY] =        {{0, 0, 0, 1},    {0, 0, 0, 0}},
    [FLOAT_MULTIPLY_ADD] =  {{0, 0, 0, 3},    {0, 0, 0, 0}},
    [FLOAT_DIVIDE] =        {{0, 0, 0, 14},   {0, 0, 0, 0}},
    [FLOAT_TWO_REGISTERS] = {{0, 0, 0, 2},    {0, 0, 0, 0}},
};

/* One translated instruction.  `loaded` is the register a single load writes, `addresses` the registers that a single
 * load or an indexed store makes its address from. */
typedef struct {
    uint32_t address, next;
    kind_t kind;
    uint8_t registers, loaded, is_assembly;
    uint32_t addresses;
} instruction_t;

static unsigned count_bits(uint32_t value)
{
    return (unsigned)__builtin_popcount(value);
}

static void decode_load(instruction_t *it, unsigned target, uint32_t addresses)
{
    it->kind = LOAD;
    it->loaded = (uint8_t)target;
    it->addresses = addresses;
}

static void decode_list(instruction_t *it, kind_t kind, uint32_t list)
{
    it->kind = kind;
    it->registers = (uint8_t)count_bits(list);
}

static void decode_16(instruction_t *it, uint32_t code)
{
    uint32_t base = 1u << (code >> 3 & 7), index = 1u << (code >> 6 & 7);

    if ((code & 0xf800) == 0x4800) { /* LDR Rt, [PC, #] */
        decode_load(it, code >> 8 & 7, 1u << PC);
    } else if ((code & 0xf000) == 0x5000 && (code >> 9 & 7) >= 3) { /* loads with two registers */
        decode_load(it, code & 7, base | index);
    } else if ((code & 0xf000) == 0x5000) {
        it->kind = STORE_INDEXED;
        it->addresses = base | index;
    } else if ((code & 0xe000) == 0x6000 || (code & 0xf000) == 0x8000) { /* with an immediate offset */
        it->kind = STORE;
        if (code & 0x800) {
            decode_load(it, code & 7, base);
        }
    } else if ((code & 0xf000) == 0x9000) { /* SP-relative */
        it->kind = STORE;
        if (code & 0x800) {
            decode_load(it, code >> 8 & 7, 1u << 13);
        }
    } else if ((code & 0xf600) == 0xb400) { /* PUSH, POP */
        decode_list(it, (code & 0xf900) == 0xb900 ? POP_PC : MULTIPLE, code & 0x1ff);
    } else if ((code & 0xf000) == 0xc000) { /* STM, LDM */
        decode_list(it, MULTIPLE, code & 0xff);
    } else if (((code & 0xf000) == 0xd000 && (code & 0xe00) != 0xe00) || (code & 0xf800) == 0xe000 ||
               (code & 0xf500) == 0xb100 || (code & 0xff00) == 0x4700) { /* B, CBZ, CBNZ, BX, BLX */
        it->kind = BRANCH;
    }
}

static void decode_single(instruction_t *it, uint32_t first, uint32_t second)
{
    unsigned target = second >> 12, base = first & 15;
    bool word = (first & 0x60) == 0x40;
    bool indexed = base != PC && !(first & 0x80) && !(second & 0x800);
    uint32_t addresses = 1u << base | (indexed ? 1u << (second & 15) : 0);

    if (!(first & 0x10)) {
        it->kind = indexed ? STORE_INDEXED : STORE;
        it->addresses = addresses;
    } else if (target != PC) {
        decode_load(it, target, addresses);
    } else if (word) {
        it->kind = LOAD_PC;
    } /* else it is a preload hint */
}

static void decode_float(instruction_t *it, uint32_t first, uint32_t second)
{
    unsigned operation = first >> 4 & 0xb; /* without bit D, a part of the destination's number */

    if ((first & 0xffe0) == 0xec40) {
        it->kind = FLOAT_TWO_REGISTERS;
    } else if ((first & 0xff20) == 0xed00) { /* VLDR, VSTR of one or two words */
        it->kind = FLOAT_MEMORY;
        it->registers = (second & 0x100) ? 2 : 1;
    } else if ((first & 0xfe00) == 0xec00) { /* VLDM, VSTM, VPUSH, VPOP: words */
        it->kind = FLOAT_MEMORY;
        it->registers = (uint8_t)(second & 0xff);
    } else if (second & 0x10) { /* VMOV of one register, VMRS, VMSR */
        it->kind = SIMPLE;
    } else if (operation <= 1 || operation == 9 || operation == 10) {
        it->kind = FLOAT_MULTIPLY_ADD;
    } else if (operation == 8 || (operation == 11 && (first & 15) == 1 && (second & 0xc0) == 0xc0)) {
        it->kind = FLOAT_DIVIDE; /* or a square root */
    }
}

static void decode_32(instruction_t *it, uint32_t first, uint32_t second)
{
    bool load = first & 0x10;
    unsigned operation = first >> 4 & 7;

    if ((first & 0xf800) == 0xf000 && (second & 0x8000)) {
        bool conditional_or_system = !(second & 0x1000) && !(second & 0x4000);
        bool is_system = conditional_or_system && (first & 0x380) == 0x380;
        it->kind = is_system ? SYSTEM : (second & 0x5000) == 0x5000 ? CALL : BRANCH;
    } else if ((first & 0xfe40) == 0xe800) { /* LDM, STM, PUSH, POP */
        decode_list(it, load && (second >> PC & 1) ? POP_PC : MULTIPLE, second);
    } else if ((first & 0xfff0) == 0xe8d0 && (second & 0xffe0) == 0xf000) { /* TBB, TBH */
        it->kind = TABLE_BRANCH;
    } else if ((first & 0xfe40) == 0xe840) {
        it->kind = (first & 0x120) ? DOUBLE : EXCLUSIVE;
    } else if ((first & 0xfe00) == 0xf800) {
        decode_single(it, first, second);
    } else if ((first & 0xfff0) == 0xfb00 && second >> 12 != 15) { /* MLA, MLS */
        it->kind = MULTIPLY_ADD;
    } else if ((first & 0xff80) == 0xfb80) {
        it->kind = (operation & 5) == 1 ? DIVIDE : (operation & 5) == 0 ? MULTIPLY_LONG : MULTIPLY_ADD_LONG;
    } else if ((first & 0xfc00) == 0xec00 && (second & 0xe00) == 0xa00) { /* coprocessors 10 and 11 */
        decode_float(it, first, second);
    }
}

/* `halfwords` are the instruction's one or two. */
static void decode(instruction_t *it, const uint16_t halfwords[2], uint32_t address, unsigned bytes)
{
    *it = (instruction_t){.address = address, .next = address + bytes, .kind = SIMPLE, .loaded = NO_REGISTER};
    if (bytes == 2) {
        decode_16(it, halfwords[0]);
    } else {
        decode_32(it, halfwords[0], halfwords[1]);
    }
}

/* Cycles of `it` after `before` (or NULL): on M3 and M4 a load or an indexed store overlaps by one cycle with a load
 * before it, unless it needs what that loads for its address. */
static unsigned cycles_of(const instruction_t *it, const instruction_t *before, int model)
{
    bool overlaps = model >= M3 && it->addresses && (it->kind == LOAD || it->kind == STORE_INDEXED) && before &&
                    before->kind == LOAD && !(it->addresses >> before->loaded & 1);

    return COSTS[it->kind].cycles[model] + (unsigned)it->registers - overlaps;
}

/* What a jump costs on top, when the instruction at `address` comes after `it`. */
static unsigned refill_of(const instruction_t *it, uint32_t address, int model)
{
    return address == it->next ? 0 : COSTS[it->kind].refill[model];
}
