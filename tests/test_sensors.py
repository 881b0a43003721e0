"""The sensors of firmware/src/sensors, with registers that are an array: no sample twice, none lost in time."""

import shutil
import subprocess

import pytest

# registers by their address; the source is included, so that its memory can be filled as the part would do it
HEAD = """
#include <stdio.h>
#include <stdint.h>
#define PORT_H
#define REG32(address) (*reg(address))
static volatile uint32_t *reg(uint32_t address);
#include "sensors/{name}.c"
static volatile uint32_t memory[64][2];
static void ready(uint32_t address, volatile uint32_t *value);
static volatile uint32_t *reg(uint32_t address)
{{
    uint32_t at = 0;
    while (memory[at][0] != address && memory[at][0] != 0u) {{
        at++;
    }}
    memory[at][0] = address;
    ready(address, &memory[at][1]);
    return &memory[at][1];
}}
static uint32_t print(uint32_t most)
{{
    int16_t values[64];
    uint32_t count = sensor_read(values, most);
    for (uint32_t i = 0; i < count; i++) {{
        printf("%d ", values[i]);
    }}
    return count;
}}
"""
ADC = """
static void ready(uint32_t address, volatile uint32_t *value)
{
    if (address == RESETS_RESET_DONE || address == ADC_CS) {
        *value = 0xffffffffu;
    }
    if (address == DMA_CHAN_ABORT || address == ADC_FCS) {
        *value = 0;
    }
}
static uint32_t written;
static void sample(uint32_t count)
{
    while (count-- > 0u) {
        ring[written % RING_SAMPLES] = (uint16_t)(2048u + written % 2000u);
        written++;
        REG32(DMA_TRANS_COUNT)--;
    }
}
int main(void)
{
    if (sensor_start(16000, 2) || sensor_start(130000, 1) || !sensor_start(16000, 1)) {
        return 1;
    }
    if (REG32(ADC_DIV) >> 8 != 749u || print(64) != 0u) {
        return 2;
    }
    sample(100);
    if (print(64) != 64u || print(64) != 36u || print(64) != 0u) {
        return 3;
    }
    /* around the end of the ring */
    for (uint32_t n = 0; n < 200u; n++) {
        sample(50);
        if (print(64) != 50u) {
            return 4;
        }
    }
    /* too much at once: the newest are left */
    sample(RING_SAMPLES + 77u);
    uint32_t total = 0;
    for (uint32_t count; (count = print(64)) > 0u;) {
        total += count;
    }
    if (total != RING_SAMPLES) {
        return 5;
    }
    /* the count has run down: it begins again */
    taken = UINT32_MAX - 5u;
    REG32(DMA_TRANS_COUNT) = 0;
    if (print(64) != 5u || REG32(DMA_TRANS_COUNT) != UINT32_MAX || taken != 0u) {
        return 6;
    }
    sensor_stop();
    return 0;
}
"""
PDM = """
static void ready(uint32_t address, volatile uint32_t *value)
{
    (void)address;
    (void)value;
}
static int16_t *wanted; /* the buffer that is filled */
static int16_t number;
/* What the interface does at a buffer's beginning: it takes the pointer over. */
static void begin(uint32_t index)
{
    wanted = buffers[index];
    if (REG32(PDM_SAMPLE_PTR) != (uint32_t)(uintptr_t)buffers[index]) {
        printf("wrong buffer ");
    }
    REG32(PDM_STARTED) = 1;
}
static void fill(void)
{
    for (uint32_t i = 0; i < BUFFER_SAMPLES; i++) {
        wanted[i] = number++;
    }
}
int main(void)
{
    if (sensor_start(8000, 1) || sensor_start(16000, 2) || !sensor_start(16000, 1)) {
        return 1;
    }
    begin(0);
    if (print(64) != 0u || print(64) != 0u) {
        return 2;
    }
    for (uint32_t n = 1; n < 6u; n++) {
        fill();
        begin(n % 2u);
        for (uint32_t read = 0; read < BUFFER_SAMPLES; read += 64u) {
            if (print(64) != 64u) {
                return 3;
            }
        }
        if (print(64) != 0u) {
            return 4;
        }
    }
    sensor_stop();
    return REG32(PDM_ENABLE) == 0u ? 0 : 5;
}
"""
OPTIONS = {"rp2040_adc": (), "nrf52_pdm": ("-DNRF_PDM_CLK_PIN=26u", "-DNRF_PDM_DIN_PIN=27u")}


def run(repository, folder, name, body):
    """The numbers that the program prints; it must end with 0."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler: apt install gcc")
    firmware, source, program = repository / "firmware", folder / "main.c", folder / "main"
    source.write_text(HEAD.format(name=name) + body)
    includes = [f"-I{firmware / 'include'}", f"-I{firmware / 'src'}"]
    options = ["-O1", "-Wall", "-Werror", "-Wno-unused-function", "-Wno-pointer-to-int-cast", *OPTIONS[name], *includes]
    subprocess.run(["cc", *options, source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:]
    return [int(word) for word in done.stdout.split()]


def test_the_ring_of_the_adc_gives_each_sample_once(repository, tmp_path):
    found = run(repository, tmp_path, "rp2040_adc", ADC)
    expected = [number % 2000 * 16 for number in range(10_100 + 8192 + 77)]
    assert found[:-5] == expected[:10_100] + expected[10_100 + 77 :]


def test_the_buffers_of_the_pdm_interface_take_turns(repository, tmp_path):
    assert run(repository, tmp_path, "nrf52_pdm", PDM) == list(range(5 * 1024))


@pytest.mark.parametrize(
    ("name", "body", "right", "wrong"),
    [
        ("rp2040_adc", ADC, "taken++ % RING_SAMPLES", "taken++ % (RING_SAMPLES - 1u)"),
        ("nrf52_pdm", PDM, "microphone.filling ^= 1u;", ""),
    ],
)
def test_a_wrong_place_is_seen(repository, tmp_path, name, body, right, wrong):
    source = (repository / "firmware" / "src" / "sensors" / f"{name}.c").read_text()
    assert source.count(right) == 1
    folder = tmp_path / "firmware" / "src" / "sensors"
    folder.mkdir(parents=True)
    (folder / f"{name}.c").write_text(source.replace(right, wrong))
    shutil.copytree(repository / "firmware" / "include", tmp_path / "firmware" / "include")
    checks = {"rp2040_adc": test_the_ring_of_the_adc_gives_each_sample_once}
    check = checks.get(name, test_the_buffers_of_the_pdm_interface_take_turns)
    with pytest.raises((AssertionError, ValueError)):
        check(tmp_path, tmp_path)
