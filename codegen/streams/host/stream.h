/* stdin and stdout. */
#include <stdio.h>
#include <stdlib.h>

#define STREAM_START() ((void)0)
#define STREAM_STOP() ((void)0)

static void stream_open(void)
{
}

static void stream_read(void *data, size_t bytes)
{
    if (fread(data, 1, bytes, stdin) != bytes) {
        exit(2);
    }
}

static void stream_write(const void *data, size_t bytes)
{
    if (fwrite(data, 1, bytes, stdout) != bytes) {
        exit(3);
    }
}

static void stream_close(void)
{
    if (fflush(stdout) != 0) {
        exit(3);
    }
}
