"""Pasted driver code in, findings with their proof out: what is called, locked, allocated and touched, at which line and IRQL."""




