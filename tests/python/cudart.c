/* A CUDA runtime without a GPU, as strict as the real one where `seqtile.memory` could go wrong:
   copies happen when their stream is waited for, and errors stay until they are read. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    void* to;
    const void* start;
    size_t size;
} copy_t;
typedef struct {
    copy_t copies[256];
    int count;
    int device;
} stream_t;

static __thread int device = -1;
static int last_error = 0;
static size_t limit = (size_t)-1;
static int blocks = 0, streams = 0;

static int fail(int code) {
    return last_error = code;
}

void stand_in_limit(size_t bytes) {
    limit = bytes;
}
int stand_in_blocks(void) {
    return blocks;
}
int stand_in_streams(void) {
    return streams;
}
int stand_in_last_error(void) {
    return last_error;
}

int cudaSetDevice(int number) {
    if (number < 0 || number > 1) return fail(101);
    device = number;
    return 0;
}
int cudaGetLastError(void) {
    int code = last_error;
    last_error = 0;
    return code;
}
const char* cudaGetErrorString(int code) {
    return code == 2     ? "out of memory"
           : code == 101 ? "invalid device ordinal"
                         : "invalid argument";
}
int cudaStreamCreateWithFlags(void** stream, unsigned flags) {
    if (flags != 1 || device < 0) return fail(1);
    stream_t* made = calloc(1, sizeof *made);
    made->device = device;
    streams++;
    *stream = made;
    return 0;
}
int cudaStreamDestroy(void* stream) {
    free(stream);
    streams--;
    return 0;
}
int cudaHostAlloc(void** block, size_t size, unsigned flags) {
    if (flags != 1 || device < 0 || size == 0) return fail(1);
    if (size > limit) return fail(2);
    *block = malloc(size);
    memset(*block, 0xA5, size);
    blocks++;
    return 0;
}
int cudaMalloc(void** block, size_t size) {
    if (device < 0 || size == 0) return fail(1);
    if (size > limit) return fail(2);
    *block = malloc(size);
    memset(*block, 0xA5, size);
    blocks++;
    return 0;
}
int cudaFree(void* block) {
    free(block);
    blocks--;
    return 0;
}
int cudaFreeHost(void* block) {
    free(block);
    blocks--;
    return 0;
}
int cudaMemcpyAsync(void* to, const void* start, size_t size, int kind, void* stream) {
    stream_t* s = stream;
    if (kind != 4 || s->device != device || s->count == 256) return fail(1);
    s->copies[s->count++] = (copy_t){to, start, size};
    return 0;
}
int cudaStreamSynchronize(void* stream) {
    stream_t* s = stream;
    for (int i = 0; i < s->count; i++)
        memcpy(s->copies[i].to, s->copies[i].start, s->copies[i].size);
    s->count = 0;
    return 0;
}
