/* Included before everything else: registers of a chip that is not there, and none of its instructions. */
#include "port.h"

#undef REG32
#define REG32(address) (*register_at((uint32_t)(address)))
#define __asm(...)
#define volatile(...) ("")

volatile uint32_t *register_at(uint32_t address);
