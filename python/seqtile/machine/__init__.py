"""What this machine has: processor, threads, devices, driver, CUDA libraries; nothing of models."""
