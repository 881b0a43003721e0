/** STM32L432 and L476, from ST's reference manuals RM0394 and RM0351 (RCC, GPIO, USART, vector table).
 *
 * After reset the core and both peripheral buses run from the multi-speed oscillator at 4 MHz; 115200 baud are then
 * 0.8 % slow, which a receiver bears.  USART2 sends on PA2.  From platformio.ini: STM32_RX_PIN and STM32_RX_FUNCTION
 * of port A, PA3 with AF7 on the Nucleo-64 (UM1724), PA15 with AF3 on the Nucleo-L432KC (UM1956).
 */
#include "port.h"
#include "stm32_usart_v2.h"

#define CLOCK_HZ 4000000u

#define RCC_AHB2ENR 0x4002104Cu
#define RCC_APB1ENR1 0x40021058u
#define GPIOA_MODER 0x48000000u
#define GPIOA_PUPDR 0x4800000Cu
#define GPIOA_AFR(pin) (0x48000020u + 4u * ((pin) / 8u))

#define AHB2_GPIOA (1u << 0)
#define APB1_USART2 (1u << 17)
#define TX_PIN 2u
#define TX_FUNCTION 7u
#define PULL_UP 1u
#define ALTERNATE 2u

#define USART2 0x40004400u
#define USART2_IRQ 38u

/* Sets the `bits`-wide field `index` of a register. */
static void set_field(uint32_t address, uint32_t bits, uint32_t index, uint32_t value)
{
    uint32_t shift = bits * index;

    REG32(address) = (REG32(address) & ~(((1u << bits) - 1u) << shift)) | value << shift;
}

static void use_pin(uint32_t pin, uint32_t function)
{
    set_field(GPIOA_AFR(pin), 4, pin % 8u, function);
    set_field(GPIOA_PUPDR, 2, pin, PULL_UP);
    set_field(GPIOA_MODER, 2, pin, ALTERNATE);
}

void port_init(void)
{
    REG32(RCC_AHB2ENR) |= AHB2_GPIOA;
    REG32(RCC_APB1ENR1) |= APB1_USART2;
    (void)REG32(RCC_APB1ENR1); /* a peripheral answers two bus cycles after its clock is on */
    use_pin(TX_PIN, TX_FUNCTION);
    use_pin(STM32_RX_PIN, STM32_RX_FUNCTION);
    usart_start(USART2, CLOCK_HZ);
}

uint32_t port_clock_hz(void)
{
    return CLOCK_HZ;
}

uint8_t port_uart_get(void)
{
    return usart_get(USART2, USART2_IRQ);
}

void port_uart_put(uint8_t byte)
{
    usart_put(USART2, byte);
}
