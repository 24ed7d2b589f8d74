/* load_slots: the memory of a worker's slots. */
#include "config.h"

#include "load_internal.h"

#include <stdlib.h>
#include <string.h>

static uint64_t block_count(const struct load_worker *worker)
{
    return (worker->count + LOAD_BLOCK_SLOTS - 1) / LOAD_BLOCK_SLOTS;
}

int load_slots_make(struct load_worker *worker)
{
    uint64_t count = block_count(worker);

    worker->blocks = calloc(count, sizeof(struct load_block *));
    for (uint64_t i = 0; worker->blocks != NULL && i < count; i++) {
        uint64_t first = i * LOAD_BLOCK_SLOTS, left = worker->count - first;
        size_t slots = left < LOAD_BLOCK_SLOTS ? left : LOAD_BLOCK_SLOTS;
        struct load_block *block = aligned_alloc(LOAD_BLOCK_BYTES, LOAD_BLOCK_BYTES);
        if (block == NULL)
            return ERR_MEMORY;
        /* What holds no slot is not touched, and takes no memory. */
        memset(block, 0, sizeof *block + slots * sizeof *block->slots);
        block->worker = worker;
        block->first = first;
        worker->blocks[i] = block;
    }
    return worker->blocks == NULL ? ERR_MEMORY : 0;
}

void load_slots_free(struct load_worker *worker)
{
    for (uint64_t i = 0; worker->blocks != NULL && i < block_count(worker); i++)
        free(worker->blocks[i]);
    free(worker->blocks);
}
