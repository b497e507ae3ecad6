"""The live process: one message in, the rows it closes out, with the kernels of the batch and nothing of its own."""
