import { getHeapStatistics } from 'node:v8';

export type ProcessMemory = Pick<NodeJS.MemoryUsage, 'rss' | 'heapUsed' | 'heapTotal' | 'external'>;

let lastRss = 0;

/**
 * Returns the memory of this process in bytes. Never throws: Node opens a file of `/proc` for the resident memory, and if no
 * file descriptor is left for that, the number of the last call is returned.
 */
export function readProcessMemory(): ProcessMemory {
  try {
    const memory = process.memoryUsage();
    lastRss = memory.rss;
    return memory;
  } catch {
    const heap = getHeapStatistics();
    return {
      rss: lastRss,
      heapUsed: heap.used_heap_size,
      heapTotal: heap.total_heap_size,
      external: heap.external_memory,
    };
  }
}
