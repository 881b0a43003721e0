/* Semihosting as this computer's own files; the command line is in WORDS, and is none without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "semihost.h"

static FILE *files[2];
static int32_t opened;

uint32_t semihost_command_line(char *text, uint32_t capacity_bytes)
{
    const char *words = getenv("WORDS");

    if (words == NULL || strlen(words) >= capacity_bytes) {
        return 0;
    }
    strcpy(text, words);
    return 1;
}

int32_t semihost_open(const char *path, semihost_mode_t mode)
{
    files[opened] = fopen(path, mode == SEMIHOST_READ ? "rb" : "wb");
    return files[opened] == NULL ? -1 : opened++;
}

uint32_t semihost_read(int32_t file, void *data, uint32_t bytes)
{
    return (uint32_t)fread(data, 1, bytes, files[file]);
}

uint32_t semihost_write(int32_t file, const void *data, uint32_t bytes)
{
    return fwrite(data, 1, bytes, files[file]) == bytes && fflush(files[file]) == 0;
}

void semihost_close(int32_t file)
{
    (void)fclose(files[file]);
}

void semihost_exit(uint32_t code)
{
    exit((int)code);
}

uint32_t core_stack_used_bytes(void)
{
    return 0;
}
