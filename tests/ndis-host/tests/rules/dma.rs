//! 1.I: DMA, scatter/gather lists, shared memory.
