"""Pasted code in, findings out: clean code gives none, each kind of fault gives its own, and no text makes it raise."""

import json
import random
import re
from pathlib import Path

import pytest

from kb.engine import load_knowledge
from kb.question import Reader
from kb.question.pasted import FENCE
from kb.snippet import review
from kb.snippet.checks import load_checks
from kb.snippet.parse import parse

QUESTIONS = Path(__file__).parent / "questions" / "code.jsonl"

CLEAN = {
    'goto exit releases': 'NTSTATUS F(PDEV d) { KIRQL irql; NTSTATUS st = STATUS_SUCCESS; KeAcquireSpinLock(&d->Lock, &irql); if (d->Gone) { st = STATUS_DELETE_PENDING; goto Exit; } d->Count++; Exit: KeReleaseSpinLock(&d->Lock, irql); return st; }',
    'conditional lock with flag': 'VOID F(PDEV d, BOOLEAN needLock) { KIRQL irql = 0; if (needLock) { KeAcquireSpinLock(&d->Lock, &irql); } d->Count++; if (needLock) { KeReleaseSpinLock(&d->Lock, irql); } }',
    'locked flag variable': 'NTSTATUS F(PDEV d, PIRP Irp) { BOOLEAN locked = FALSE; KIRQL irql; if (d->Started) { KeAcquireSpinLock(&d->Lock, &irql); locked = TRUE; } d->Count++; if (locked) KeReleaseSpinLock(&d->Lock, irql); return STATUS_SUCCESS; }',
    'release in each branch': 'NTSTATUS F(PDEV d) { KLOCK_QUEUE_HANDLE h; KeAcquireInStackQueuedSpinLock(&d->Lock, &h); if (d->Count == 0) { KeReleaseInStackQueuedSpinLock(&h); return STATUS_NO_MORE_ENTRIES; } d->Count--; KeReleaseInStackQueuedSpinLock(&h); return STATUS_SUCCESS; }',
    'drop lock in loop': 'VOID Drain(PDEV d) { KIRQL irql; PLIST_ENTRY e; PIRP irp; KeAcquireSpinLock(&d->Lock, &irql); while (!IsListEmpty(&d->Q)) { e = RemoveHeadList(&d->Q); irp = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry); KeReleaseSpinLock(&d->Lock, irql); irp->IoStatus.Status = STATUS_CANCELLED; IoCompleteRequest(irp, IO_NO_INCREMENT); KeAcquireSpinLock(&d->Lock, &irql); } KeReleaseSpinLock(&d->Lock, irql); }',
    'two locks nested': 'VOID F(PDEV d) { KIRQL irql; KeAcquireSpinLock(&d->A, &irql); KeAcquireSpinLockAtDpcLevel(&d->B); d->n++; KeReleaseSpinLockFromDpcLevel(&d->B); KeReleaseSpinLock(&d->A, irql); }',
    'dpc with dpc-level lock': "KDEFERRED_ROUTINE MyDpc; VOID MyDpc(PKDPC Dpc, PVOID c, PVOID a, PVOID b) { PDEV d = (PDEV)c; PVOID p; UNREFERENCED_PARAMETER(Dpc); KeAcquireSpinLockAtDpcLevel(&d->Lock); p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 'abcd'); if (p != NULL) { RtlZeroMemory(p, 64); ExFreePoolWithTag(p, 'abcd'); } KeReleaseSpinLockFromDpcLevel(&d->Lock); KeSetEvent(&d->Done, IO_NO_INCREMENT, FALSE); }",
    'eresource with critical region': 'VOID F(PDEV d) { PAGED_CODE(); KeEnterCriticalRegion(); ExAcquireResourceExclusiveLite(&d->Res, TRUE); d->x = 1; ExReleaseResourceLite(&d->Res); KeLeaveCriticalRegion(); }',
    'resource try': 'BOOLEAN F(PDEV d) { KeEnterCriticalRegion(); if (!ExAcquireResourceSharedLite(&d->Res, FALSE)) { KeLeaveCriticalRegion(); return FALSE; } d->x++; ExReleaseResourceLite(&d->Res); KeLeaveCriticalRegion(); return TRUE; }',
    'fast mutex then io after release': 'VOID Log(PVOID b, ULONG n) { ExAcquireFastMutex(&g_Lock); Append(b, n); ExReleaseFastMutex(&g_Lock); ZwWriteFile(g_h, NULL, NULL, NULL, &iosb, b, n, NULL, NULL); }',
    'try fast mutex': 'BOOLEAN F(VOID) { if (!ExTryToAcquireFastMutex(&g_Lock)) return FALSE; g_n++; ExReleaseFastMutex(&g_Lock); return TRUE; }',
    'cleanup frees on error': "NTSTATUS F(PDEV d) { PVOID p = NULL; NTSTATUS st; PAGED_CODE(); p = ExAllocatePool2(POOL_FLAG_PAGED, 100, 'gaT1'); if (p == NULL) { st = STATUS_INSUFFICIENT_RESOURCES; goto Exit; } st = Fill(p, 100); if (!NT_SUCCESS(st)) { goto Exit; } d->Buf = p; p = NULL; Exit: if (p != NULL) { ExFreePoolWithTag(p, 'gaT1'); } return st; }",
    'free and null, free again guarded': "VOID F(PDEV d) { PVOID p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 10, 'gaT1'); if (!p) return; if (d->x) { ExFreePoolWithTag(p, 'gaT1'); p = NULL; } if (p) ExFreePoolWithTag(p, 'gaT1'); }",
    'free two different': "VOID F(void) { PVOID a = ExAllocatePool2(POOL_FLAG_PAGED, 10, 'aaaa'); PVOID b = ExAllocatePool2(POOL_FLAG_PAGED, 10, 'bbbb'); if (a) ExFreePoolWithTag(a, 'aaaa'); if (b) ExFreePoolWithTag(b, 'bbbb'); }",
    'list walk freeing': "VOID F(PDEV d) { while (!IsListEmpty(&d->Head)) { PLIST_ENTRY e = RemoveHeadList(&d->Head); PITEM it = CONTAINING_RECORD(e, ITEM, Link); ExFreePoolWithTag(it, 'meti'); } }",
    'loop alloc free': "VOID F(void) { PVOID p; ULONG i; for (i = 0; i < 10; i++) { p = ExAllocatePool2(POOL_FLAG_PAGED, 10, 'aaaa'); if (p == NULL) break; Use(p); ExFreePoolWithTag(p, 'aaaa'); } }",
    'kmdf evt io with work item': 'EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoctl; VOID EvtIoctl(WDFQUEUE Queue, WDFREQUEST Request, size_t o, size_t i, ULONG code) { PDEVCTX ctx = GetCtx(WdfIoQueueGetDevice(Queue)); WdfSpinLockAcquire(ctx->Lock); ctx->Pending++; WdfSpinLockRelease(ctx->Lock); WdfWorkItemEnqueue(ctx->Work); WdfRequestComplete(Request, STATUS_SUCCESS); }',
    'kmdf passive level by PAGED_CODE': 'VOID EvtIoDeviceControl(WDFQUEUE Queue, WDFREQUEST Request, size_t o, size_t i, ULONG code) { PAGED_CODE(); status = WdfIoTargetSendIoctlSynchronously(t, NULL, code, &a, &b, NULL, NULL); WdfRequestComplete(Request, status); }',
    'system thread waits and file io': 'VOID Thread(PVOID c) { PDEV d = c; for (;;) { KeWaitForSingleObject(&d->Ev, Executive, KernelMode, FALSE, NULL); if (d->Stop) break; ZwWriteFile(d->h, NULL, NULL, NULL, &io, d->b, d->n, NULL, NULL); } PsTerminateSystemThread(STATUS_SUCCESS); } NTSTATUS Start(PDEV d) { HANDLE h; return PsCreateSystemThread(&h, THREAD_ALL_ACCESS, NULL, NULL, NULL, Thread, d); }',
    'cancel routine': 'DRIVER_CANCEL MyCancel; VOID MyCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) { KIRQL irql; IoReleaseCancelSpinLock(Irp->CancelIrql); KeAcquireSpinLock(&g_Lock, &irql); RemoveEntryList(&Irp->Tail.Overlay.ListEntry); KeReleaseSpinLock(&g_Lock, irql); Irp->IoStatus.Status = STATUS_CANCELLED; IoCompleteRequest(Irp, IO_NO_INCREMENT); }',
    'raise and lower': 'VOID F(void) { KIRQL old; KeRaiseIrql(DISPATCH_LEVEL, &old); g_x++; KeLowerIrql(old); }',
    'acquire helper': '_IRQL_raises_(DISPATCH_LEVEL) VOID AcquireDev(PDEV d) { KeAcquireSpinLock(&d->Lock, &d->Irql); } VOID ReleaseDev(PDEV d) { KeReleaseSpinLock(&d->Lock, d->Irql); } NTSTATUS F(PDEV d) { AcquireDev(d); d->n++; ReleaseDev(d); return ZwClose(d->h); }',
    'helper releases': 'NTSTATUS F(PDEV d, PIRP Irp) { KIRQL irql; KeAcquireSpinLock(&d->Lock, &irql); if (d->Gone) return FinishLocked(d, Irp, irql); d->n++; KeReleaseSpinLock(&d->Lock, irql); return STATUS_SUCCESS; }',
    'finally releases': 'NTSTATUS F(PDEV d) { NTSTATUS st = 0; KeEnterCriticalRegion(); ExAcquireResourceExclusiveLite(&d->Res, TRUE); __try { if (d->x) { st = STATUS_UNSUCCESSFUL; __leave; } if (d->y) return STATUS_SUCCESS; d->z = 1; } __finally { ExReleaseResourceLite(&d->Res); KeLeaveCriticalRegion(); } return st; }',
    'probe then lock': 'NTSTATUS Ioctl(PDEVICE_OBJECT DeviceObject, PIRP Irp) { PVOID in = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.Type3InputBuffer; ULONG v; KIRQL irql; __try { ProbeForRead(in, 4, 1); v = *(PULONG)in; } __except (EXCEPTION_EXECUTE_HANDLER) { return GetExceptionCode(); } KeAcquireSpinLock(&g_Lock, &irql); g_v = v; KeReleaseSpinLock(&g_Lock, irql); return STATUS_SUCCESS; }',
    'event on stack kernel wait': 'NTSTATUS Send(PDEVICE_OBJECT dev) { KEVENT ev; IO_STATUS_BLOCK io; PIRP irp; NTSTATUS st; PAGED_CODE(); KeInitializeEvent(&ev, NotificationEvent, FALSE); irp = IoBuildDeviceIoControlRequest(C, dev, NULL, 0, NULL, 0, FALSE, &ev, &io); if (irp == NULL) { return STATUS_INSUFFICIENT_RESOURCES; } st = IoCallDriver(dev, irp); if (st == STATUS_PENDING) { KeWaitForSingleObject(&ev, Executive, KernelMode, FALSE, NULL); st = io.Status; } return st; }',
    'delay in driver entry': 'NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) { LARGE_INTEGER t; t.QuadPart = -10 * 1000 * 10; KeDelayExecutionThread(KernelMode, FALSE, &t); DriverObject->DriverUnload = Unload; return STATUS_SUCCESS; }',
    'mdl of nonpaged': "PMDL Make(ULONG n) { PVOID p = ExAllocatePool2(POOL_FLAG_NON_PAGED, n, 'ldmM'); PMDL m; if (!p) return NULL; m = IoAllocateMdl(p, n, FALSE, FALSE, NULL); if (!m) { ExFreePoolWithTag(p, 'ldmM'); return NULL; } MmBuildMdlForNonPagedPool(m); return m; }",
    'lookaside': 'PVOID Get(void) { return ExAllocateFromNPagedLookasideList(&g_List); } VOID Put(PVOID p) { PITEM i = ExAllocateFromNPagedLookasideList(&g_List); if (i) ExFreeToNPagedLookasideList(&g_List, i); }',
    'poll in dpc': 'VOID PollDpc(PKDPC Dpc, PVOID Ctx, PVOID a, PVOID b) { LARGE_INTEGER t = {0}; KeWaitForSingleObject(&g_e, Executive, KernelMode, FALSE, &t); }',
    'work item from dpc': 'IO_WORKITEM_ROUTINE Work; KDEFERRED_ROUTINE Dpc; VOID Work(PDEVICE_OBJECT o, PVOID c) { PAGED_CODE(); ZwClose(c); } VOID Dpc(PKDPC k, PVOID c, PVOID a, PVOID b) { PDEV d = c; IoQueueWorkItem(d->Item, Work, DelayedWorkQueue, d->h); }',
    'pre-op gets name': 'FLT_PREOP_CALLBACK_STATUS PreWrite(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS F, PVOID *C) { PFLT_FILE_NAME_INFORMATION ni; NTSTATUS st; st = FltGetFileNameInformation(Data, FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &ni); if (!NT_SUCCESS(st)) return FLT_PREOP_SUCCESS_NO_CALLBACK; FltReleaseFileNameInformation(ni); return FLT_PREOP_SUCCESS_NO_CALLBACK; }',
    'guarded mutex without io': 'VOID F(void) { KeAcquireGuardedMutex(&g_m); g_n++; KeReleaseGuardedMutex(&g_m); }',
    'critical region with io is fine': 'VOID F(void) { KeEnterCriticalRegion(); ZwWriteFile(h, NULL, NULL, NULL, &io, b, n, NULL, NULL); KeLeaveCriticalRegion(); }',
    'switch balanced': 'VOID F(PDEV d, ULONG op) { KIRQL irql; switch (op) { case 1: KeAcquireSpinLock(&d->Lock, &irql); d->a++; KeReleaseSpinLock(&d->Lock, irql); break; case 2: ZwClose(d->h); break; default: return; } }',
    'not in PAGE by pragma': '#pragma alloc_text(PAGE, Other)\nVOID Other(void) { PAGED_CODE(); ZwClose(h); }\nVOID F(PDEV d) { KIRQL i; KeAcquireSpinLock(&d->Lock, &i); d->n++; KeReleaseSpinLock(&d->Lock, i); }',
    'paged deref at passive': "VOID Work(PDEVICE_OBJECT o, PVOID c) { PFOO p = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(FOO), 'ooF1'); if (!p) return; p->a = 1; p->b[3] = 2; ExFreePool(p); }",
    'paged outside lock': "VOID F(PDEV d) { KIRQL irql; ULONG v; PFOO p = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(FOO), 'ooF1'); if (!p) return; v = p->a; KeAcquireSpinLock(&d->Lock, &irql); d->v = v; KeReleaseSpinLock(&d->Lock, irql); ExFreePoolWithTag(p, 'ooF1'); }",
    'old allocator': "p = ExAllocatePoolWithTag(NonPagedPoolNx, n, 'abcd'); if (!p) return STATUS_INSUFFICIENT_RESOURCES;",
    'isr passive-unknown': 'BOOLEAN EvtInterruptIsr(WDFINTERRUPT Interrupt, ULONG id) { WdfInterruptQueueDpcForIsr(Interrupt); return TRUE; }',
    'completion frees irp': 'NTSTATUS Done(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) { if (Irp->PendingReturned) IoMarkIrpPending(Irp); IoFreeMdl(Irp->MdlAddress); IoFreeIrp(Irp); KeSetEvent(Context, IO_NO_INCREMENT, FALSE); return STATUS_MORE_PROCESSING_REQUIRED; }',
    'wdf timer to dpc': 'VOID EvtTimer(WDFTIMER Timer) { PCTX c = Get(WdfTimerGetParentObject(Timer)); WdfSpinLockAcquire(c->L); c->n++; WdfSpinLockRelease(c->L); }',
    'unlock relock around wait': 'VOID F(PDEV d) { KIRQL irql; for (;;) { KeAcquireSpinLock(&d->Lock, &irql); if (d->Ready) { KeReleaseSpinLock(&d->Lock, irql); break; } KeReleaseSpinLock(&d->Lock, irql); KeWaitForSingleObject(&d->Ev, Executive, KernelMode, FALSE, NULL); } }',
    'do while release': 'NTSTATUS F(PDEV d) { KIRQL irql; NTSTATUS st = STATUS_UNSUCCESSFUL; KeAcquireSpinLock(&d->Lock, &irql); do { if (d->a) break; if (d->b) break; st = STATUS_SUCCESS; } while (FALSE); KeReleaseSpinLock(&d->Lock, irql); return st; }',
}

BUGGY = {  # the code, the deciding rule or check, its line
    'free paged under lock': ("VOID F(PDEV d) {\nKIRQL irql;\nPVOID p = ExAllocatePool2(POOL_FLAG_PAGED, 10, 'aaaa');\nif (!p) return;\nKeAcquireSpinLock(&d->Lock, &irql);\nExFreePoolWithTag(p, 'aaaa');\nKeReleaseSpinLock(&d->Lock, irql);\n}", 'paged-pool-freed-at-dispatch', 6),
    'touch paged under lock': ("VOID F(PDEV d) {\nKIRQL irql;\nPFOO p = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(FOO), 'aaaa');\nif (!p) return;\nKeAcquireSpinLock(&d->Lock, &irql);\np->x = d->x;\nKeReleaseSpinLock(&d->Lock, irql);\nExFreePoolWithTag(p, 'aaaa');\n}", 'pageable-memory-at-dispatch', 6),
    'recursion': ('KeAcquireSpinLock(&d->Lock, &a);\nKeAcquireSpinLock(&d->Lock, &b);\nd->n++;\nKeReleaseSpinLock(&d->Lock, b);\nKeReleaseSpinLock(&d->Lock, a);', 'lock-acquired-twice', 2),
    'double free2': ('p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, \'abcd\');\nif (!p) return;\nExFreePoolWithTag(p, \'abcd\');\nLog("x");\nExFreePoolWithTag(p, \'abcd\');', 'pool-freed-twice', 5),
    'use after free': ('p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, \'abcd\');\nif (!p) return;\nExFreePoolWithTag(p, \'abcd\');\nDbgPrint("%d", p->Id);', 'pool-used-after-free', 4),
    'wrong tag': ("p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, 'abcd');\nExFreePoolWithTag(p, 'dcba');", 'pool-freed-with-another-tag', 2),
    'lookaside freed as pool': ('p = ExAllocateFromNPagedLookasideList(&g_L);\nExFreePool(p);', 'memory-freed-by-the-wrong-routine', 2),
    'string tag': ('p = ExAllocatePoolWithTag(NonPagedPoolNx, 8, "abcd");', 'pool-tag-is-a-string', 1),
    'flags to old': ("p = ExAllocatePoolWithTag(POOL_FLAG_NON_PAGED, 8, 'abcd');", 'pool-flags-passed-as-pool-type', 1),
    'complete under lock': ('KeAcquireSpinLock(&d->L, &irql);\nIoCompleteRequest(Irp, IO_NO_INCREMENT);\nKeReleaseSpinLock(&d->L, irql);', 'request-completed-under-a-spin-lock', 2),
    'fast mutex under spin lock': ('KeAcquireSpinLock(&d->L, &irql);\nExAcquireFastMutex(&g);\nExReleaseFastMutex(&g);\nKeReleaseSpinLock(&d->L, irql);', 'ddi-called-above-its-maximum', 2),
    'wait under spin lock': ('KeAcquireSpinLock(&d->L, &irql);\nKeWaitForSingleObject(&d->E, Executive, KernelMode, FALSE, NULL);\nKeReleaseSpinLock(&d->L, irql);', 'wait-at-dispatch', 2),
    'guarded io': ('KeEnterGuardedRegion();\nZwReadFile(h, NULL, NULL, NULL, &io, b, n, NULL, NULL);\nKeLeaveGuardedRegion();', 'file-io-needs-special-kernel-apcs', 2),
    'told by a comment': ('KeAcquireSpinLock(&d->Lock, &irql);\nr = d->Rec; // from paged pool\nr->Count++;\nKeReleaseSpinLock(&d->Lock, irql);', 'pageable-memory-at-dispatch', 3),
    'told by a comment before': ("// p = ExAllocatePoolWithTag(PagedPool, n, 'abcd')\nKeAcquireSpinLock(&d->Lock, &irql);\nExFreePoolWithTag(p, 'abcd');\nKeReleaseSpinLock(&d->Lock, irql);", 'paged-pool-freed-at-dispatch', 3),
    'handed to post-op': ("FLT_PREOP_CALLBACK_STATUS Pre(PFLT_CALLBACK_DATA d, PCFLT_RELATED_OBJECTS o, PVOID *ctx) {\nPREC r = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(*r), 'abcd');\nif (!r) return FLT_PREOP_SUCCESS_NO_CALLBACK;\n*ctx = r;\nreturn FLT_PREOP_SUCCESS_WITH_CALLBACK; }\nFLT_POSTOP_CALLBACK_STATUS Post(PFLT_CALLBACK_DATA d, PCFLT_RELATED_OBJECTS o, PVOID ctx, FLT_POST_OPERATION_FLAGS f) {\nPREC r = ctx;\nr->Len++;\nreturn FLT_POSTOP_FINISHED_PROCESSING; }", 'pageable-memory-at-dispatch', 8),
    'volume context': ('st = FltAllocateContext(o->Filter, FLT_VOLUME_CONTEXT, sizeof(*v), PagedPool, (PFLT_CONTEXT*)&v);\nif (!NT_SUCCESS(st)) return;\nFltReleaseContext(v);', 'object-in-pageable-memory', 1),
    'miniport dpc': ('VOID MPHandleDpc(NDIS_HANDLE MiniportInterruptContext, PVOID a, PVOID b, PVOID c) {\nNdisMSleep(200);\n}', 'ddi-called-above-its-maximum', 2),
    'image notify': ('VOID OnImage(PUNICODE_STRING Name, HANDLE Pid, PIMAGE_INFO Info) {\nZwReadFile(h, NULL, NULL, NULL, &io, b, n, NULL, NULL);\n}', 'file-io-needs-special-kernel-apcs', 2),
    'guarded mutex io': ('KeAcquireGuardedMutex(&m);\nZwReadFile(h, NULL, NULL, NULL, &io, b, n, NULL, NULL);\nKeReleaseGuardedMutex(&m);', 'file-io-needs-special-kernel-apcs', 2),
    'cancel': ('DRIVER_CANCEL Cancel;\nVOID Cancel(PDEVICE_OBJECT D, PIRP Irp) {\nIrp->IoStatus.Status = STATUS_CANCELLED;\nIoCompleteRequest(Irp, IO_NO_INCREMENT);\n}', 'cancel-lock-not-released-with-cancelirql', 2),
    'cancel passive': ('DRIVER_CANCEL Cancel;\nVOID Cancel(PDEVICE_OBJECT D, PIRP Irp) {\nIoReleaseCancelSpinLock(PASSIVE_LEVEL);\nIoCompleteRequest(Irp, IO_NO_INCREMENT);\n}', 'cancel-lock-not-released-with-cancelirql', 3),
    'mdl paged': ("p = ExAllocatePool2(POOL_FLAG_PAGED, n, 'abcd');\nm = IoAllocateMdl(p, n, FALSE, FALSE, NULL);\nMmBuildMdlForNonPagedPool(m);", 'nonpaged-mdl-of-pageable-memory', 3),
    'set event wait pageable': ('#pragma alloc_text(PAGE, F)\nVOID F(PDEV d) { PAGED_CODE(); KeSetEvent(&d->E, 0, TRUE);\nKeWaitForSingleObject(&d->F, Executive, KernelMode, FALSE, NULL); }', 'set-event-with-wait-in-pageable-code', 2),
    'registered dpc': ('VOID Tick(PKDPC d, PVOID c, PVOID a, PVOID b) { ZwClose(c); }\nVOID Init(PDEV d) { KeInitializeDpc(&d->Dpc, Tick, d); }', 'ddi-called-above-its-maximum', 1),
    'helper called from dpc': ("KDEFERRED_ROUTINE Dpc;\nstatic VOID Helper(PDEV d) { PVOID p = ExAllocatePool2(POOL_FLAG_PAGED, 8, 'abcd'); if (p) ExFreePool(p); }\nVOID Dpc(PKDPC k, PVOID c, PVOID a, PVOID b) { Helper(c); }", 'paged-pool-allocated-at-dispatch', 2),
    'helper called under lock': ('static VOID Helper(PDEV d) { PAGED_CODE(); d->n++; }\nVOID F(PDEV d) { KIRQL i; KeAcquireSpinLock(&d->L, &i); Helper(d); KeReleaseSpinLock(&d->L, i); }', 'pageable-code-at-dispatch', 1),
    'kdpc on stack': ('VOID F(void) { KDPC dpc;\nKeInitializeDpc(&dpc, Foo, NULL);\nKeInsertQueueDpc(&dpc, NULL, NULL); }', 'storage-that-a-case-forbids', 2),
    'dpc in page section': ('#pragma code_seg("PAGE")\nVOID MyDpc(PKDPC d, PVOID c, PVOID a, PVOID b) { g_n++; }\n#pragma code_seg()', 'pageable-code-at-dispatch', 2),
    'raise then zw': ('KeRaiseIrql(DISPATCH_LEVEL, &old);\nZwClose(h);\nKeLowerIrql(old);', 'ddi-called-above-its-maximum', 2),
    'same irql var': ('VOID F(PDEV d) { KIRQL irql;\nKeAcquireSpinLock(&d->A, &irql);\nKeAcquireSpinLock(&d->B, &irql);\nKeReleaseSpinLock(&d->B, irql);\nKeReleaseSpinLock(&d->A, irql); }', 'saved-irql-overwritten', 3),
    'delay in dpc': ('VOID D(PKDPC k, PVOID c, PVOID a, PVOID b) { LARGE_INTEGER t; t.QuadPart = -10000;\nKeDelayExecutionThread(KernelMode, FALSE, &t); }', 'ddi-called-above-its-maximum', 2),
    'user buffer under lock': ('PUCHAR in = sp->Parameters.DeviceIoControl.Type3InputBuffer;\nKeAcquireSpinLock(&d->L, &irql);\nRtlCopyMemory(d->t, in, 4);\nKeReleaseSpinLock(&d->L, irql);', 'pageable-memory-at-dispatch', 3),
    'dpc level lock in dispatch': ('NTSTATUS DispatchCreate(PDEVICE_OBJECT D, PIRP Irp) {\nKeAcquireSpinLockAtDpcLevel(&g_L); g_n++; KeReleaseSpinLockFromDpcLevel(&g_L);\nreturn STATUS_SUCCESS; }', 'ddi-called-below-its-minimum', 2),
    'sal max': ('_IRQL_requires_max_(DISPATCH_LEVEL)\nVOID F(PDEV d) { ZwClose(d->h); }', 'ddi-called-above-its-maximum', 2),
    'isr allocates': ("BOOLEAN Isr(PKINTERRUPT I, PVOID c) { PVOID p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, 'abcd'); return p != NULL; }", 'pool-allocated-above-dispatch', 1),
    'paged lookaside in dpc': ('VOID D(PKDPC k, PVOID c, PVOID a, PVOID b) { PVOID p = ExAllocateFromPagedLookasideList(&g_L); Use(p); }', 'paged-pool-allocated-at-dispatch', 1),
    'missing release with early return in loop': ('VOID F(PDEV d) { KIRQL irql; PLIST_ENTRY e;\nKeAcquireSpinLock(&d->L, &irql);\nfor (e = d->Q.Flink; e != &d->Q; e = e->Flink) {\nif (Match(e)) return;\n}\nKeReleaseSpinLock(&d->L, irql); }', 'lock-not-released', 4),
    'fast mutex not released': ('NTSTATUS F(void) { ExAcquireFastMutex(&g_m);\nif (g_x) { return STATUS_BUSY; }\nExReleaseFastMutex(&g_m); return 0; }', 'lock-not-released', 2),
    'critical region left': ('NTSTATUS F(void) { KeEnterCriticalRegion();\nif (g_x) return STATUS_BUSY;\nKeLeaveCriticalRegion(); return 0; }', 'lock-not-released', 2),
    'double release': ('VOID F(PDEV d) { KIRQL irql;\nKeAcquireSpinLock(&d->L, &irql);\nd->n++;\nKeReleaseSpinLock(&d->L, irql);\nKeReleaseSpinLock(&d->L, irql); }', 'lock-released-twice', 5),
    'raise to lower': ('VOID D(PKDPC k, PVOID c, PVOID a, PVOID b) { KIRQL old;\nKeRaiseIrql(PASSIVE_LEVEL, &old);\nKeLowerIrql(old); }', 'irql-lowered-by-raise', 2),
    'wdf ioctl sync in evt': ('VOID EvtIoRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length) {\nst = WdfIoTargetSendIoctlSynchronously(t, NULL, 1, &a, &b, NULL, NULL);\nWdfRequestComplete(Request, st); }', 'ddi-called-above-its-maximum', 2),
    'major function': ('NTSTATUS Foo(PDEVICE_OBJECT D, PIRP Irp) { return 0; }\nVOID Bar(PDEVICE_OBJECT D, PIRP Irp) { ZwClose(h); }\nNTSTATUS DriverEntry(PDRIVER_OBJECT o, PUNICODE_STRING r) { o->MajorFunction[IRP_MJ_CREATE] = Foo; o->DriverStartIo = Bar; return 0; }', 'ddi-called-above-its-maximum', 2),
    'mdl of stack': ('VOID F(void) { PMDL m; FOO f;\nm = IoAllocateMdl(&f, sizeof f, FALSE, FALSE, NULL);\nMmBuildMdlForNonPagedPool(m); }', 'nonpaged-mdl-of-stack-memory', 3),
    'zero bytes': ("p = ExAllocatePool2(POOL_FLAG_PAGED, 0, 'abcd');", 'allocation-of-zero-bytes', 1),
    'zero tag': ("p = ExAllocatePool2(POOL_FLAG_PAGED, n, 0);", 'pool-tag-of-zero', 1),
    'type to new': ("p = ExAllocatePool2(PagedPool, n, 'abcd');", 'pool-type-passed-as-pool-flags', 1),
    'next packet': ('KeAcquireSpinLock(&d->L, &i);\nIoStartNextPacket(dev, TRUE);\nKeReleaseSpinLock(&d->L, i);', 'next-packet-started-under-a-spin-lock', 2),
    'wrong release': ('KeAcquireSpinLock(&d->L, &i);\nKeReleaseSpinLockFromDpcLevel(&d->L);', 'lock-released-by-the-wrong-routine', 2),
    'debug print with a Unicode format': ('VOID D(PKDPC k, PVOID c, PVOID a, PVOID b) {\nKdPrint(("%wZ", c)); DbgPrint("%d %wZ", 1, c); }', 'ddi-called-above-its-maximum', 2),
}


@pytest.fixture(scope="module")
def knowledge():
    return load_knowledge()


@pytest.fixture(scope="module")
def reader(knowledge):
    return Reader(knowledge.terms, knowledge.ddis)


def places(reader, text):
    """The places that the prose of a question names."""
    read = reader.read(text)
    uses = [dict(read.shared)] if read.shared else []
    uses += [dict(use) for use in reader.read(FENCE.sub(" . ", text)).uses]
    return uses + [{"routine": row} for table, row in read.rows if table == "routines"]


@pytest.mark.parametrize("name", CLEAN)
def test_clean_code_gives_no_finding(name, knowledge):
    assert review(CLEAN[name], [], knowledge).findings == ()


@pytest.mark.parametrize("name", BUGGY)
def test_fault_is_found_at_its_line(name, knowledge):
    code, rule, line = BUGGY[name]
    findings = review(code, [], knowledge).findings
    assert (rule, line) in [(one.rule, one.line) for one in findings]
    for one in findings:
        assert one.message.endswith(".") and one.fix and one.steps
        assert one.citations and all(citation.says for citation in one.citations)


@pytest.mark.parametrize("line", QUESTIONS.read_text(encoding="utf-8").splitlines(), ids=lambda line: json.loads(line)["id"])
def test_questions(line, knowledge, reader):
    """Of each snippet in code.jsonl: a finding where there is a bug, none where there is none, and the pool where one is asked."""
    asked = json.loads(line)
    snippets = reader.read(asked["question"]).snippets
    reviews = [review(code, places(reader, asked["question"]), knowledge) for code in snippets]
    assert any(one.findings for one in reviews) == asked["verdict"]["bug"]
    wanted = asked.get("accept", {}).get("pool", [asked["verdict"]["pool"]])
    assert asked["verdict"]["pool"] == "n/a" or reviews[0].pool in wanted


DPC_BODY = "VOID Foo(PVOID c) { ZwClose(c); }"


def test_place_comes_from_the_prose(knowledge):
    assert review(DPC_BODY, [], knowledge).findings == ()
    assert review(DPC_BODY, [{"routine": "work-item"}], knowledge).findings == ()
    found = review(DPC_BODY, [{"routine": "dpc"}], knowledge).findings
    assert [one.rule for one in found] == ["ddi-called-above-its-maximum"]
    assert review("ZwClose(h);", [{"irql.lowest": "DISPATCH_LEVEL", "irql.highest": "DISPATCH_LEVEL"}], knowledge).findings


def test_declared_role_outranks_the_prose(knowledge):
    code = "IO_WORKITEM_ROUTINE Foo;\nVOID Foo(PDEVICE_OBJECT o, PVOID c) { ZwClose(c); }"
    assert review(code, [{"routine": "dpc"}], knowledge).findings == ()


@pytest.mark.parametrize("evidence", [{"execution.level": "passive"}, {"code.pageable": "true"}])
def test_passive_execution_level(evidence, knowledge):
    code = "VOID EvtIoRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length) { st = WdfIoTargetSendIoctlSynchronously(t, NULL, 1, &a, &b, NULL, NULL); }"
    found = review(code, [], knowledge).findings
    assert len(found) == 1 and "default (dispatch) execution level" in found[0].message
    assert review(code, [evidence], knowledge).findings == ()


def test_windows_version(knowledge):
    code = "p = ExAllocatePool2(POOL_FLAG_PAGED, 8, 'abcd');"
    assert [one.rule for one in review(code, [{"windows": "7"}], knowledge).findings] == ["called-before-it-exists"]
    assert review(code, [{"windows": "11"}], knowledge).findings == ()


def test_advice_is_a_fact_not_a_finding(knowledge):
    result = review("p = ExAllocatePoolWithTag(NonPagedPool, n, 'abcd');", [], knowledge)
    assert result.findings == () and result.pool == "nonpaged_required"
    assert {value for name, value, _ in result.facts if name == "advice"} == {"deprecated-allocator", "executable-pool"}


def test_pool_over_all_uses(knowledge):
    code = "p = ExAllocatePool2(POOL_FLAG_PAGED, 8, 'abcd');\nKeAcquireSpinLock(&L, &i);\np->x = 1;\nKeReleaseSpinLock(&L, i);"
    result = review(code, [], knowledge)
    assert result.pool == "nonpaged_required" and [one.line for one in result.findings] == [3]
    assert review("x = 1;", [], knowledge).pool == "n/a"


@pytest.mark.parametrize("code", ["", "\0", "...", "}{", "int", '"', "#pragma", "if(", "\ud800", "(" * 5000, "{" * 5000, "for(;;){" * 500, "if(" + "!" * 5000 + "a) x;", "f(" * 2000, " " * 5000 + "..."])
def test_odd_texts(code, knowledge):
    assert review(code, [], knowledge).findings == ()


def test_lines_survive_what_is_blanked_out():
    code = "_Use_decl_annotations_\nVOID\nC::F(_In_ PFOO f, __in int x)\n{\n  /* a\n b */ f->x = x;\n  ...\n  KdPrint((\"%d\\n\", x));\n}"
    function = parse(code).functions[0]
    assert (function.name, function.line, function.last) == ("C__F", 3, 9)
    assert [one.line for statement in function.body for one in statement.events if one.__class__.__name__ == "Call"] == [8]


def test_every_check_has_a_case(knowledge):
    checks = [row for rows in load_checks().by_kind.values() for row in rows]
    found = {rule for _, rule, _ in BUGGY.values()}
    assert {row.id for row in checks if not row.advice} <= found
    assert not {row.id for row in checks} & {rule.id for rule in knowledge.rules}
    pageable = review("#pragma alloc_text(PAGE, F)\nVOID F(PDEV d) { d->n++; }", [], knowledge)
    assert ("advice", "paged-code-missing") in [fact[:2] for fact in pageable.facts] and pageable.findings == ()


def test_data_names_rows_that_exist(knowledge):
    data, tables = load_checks().data, knowledge.terms.tables
    roles = [entry["role"] for entry in data["registers"]] + [*data["members"].values(), *data["majors"].values(), *data["passive_forms"].values()]
    roles += [option["role"] for entry in data["signatures"] for option in entry["roles"]]
    assert set(roles) <= set(tables["routines"])
    assert {entry["object"] for entry in data["initializes"].values()} <= set(tables["objects"])
    locks = {*data["unsure_locks"], *data["counted_locks"], *(one for row in data["checks"] for one in row.get("locks", ()))}
    assert locks <= set(tables["locks"])
    assert [entry["ddi"] for entry in data["registers"] if knowledge.ddis.find(entry["ddi"]) is None] == []


def mutated(code, chance):
    """A snippet with something cut, doubled or put in."""
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(code) + 1)
        end = min(len(code), at + chance.randrange(30))
        code = chance.choice([code[:at] + code[end:], code[:at] + chance.choice(["{", "}", "(", ")", ";", "goto x;", "'", '"', "/*", "#", "é", "...", "return;"]) + code[at:], code[:end] + code[at:]])
    return code


@pytest.mark.parametrize("count", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_code_never_raises_and_repeats(count, knowledge):
    chance = random.Random(count)
    pool = [*CLEAN.values(), *(code for code, _, _ in BUGGY.values()), *re.findall(r"```\w*\n(.*?)```", "\n".join(json.loads(line)["question"] for line in QUESTIONS.read_text(encoding="utf-8").splitlines()), re.S)]
    for _ in range(count):
        code = mutated(chance.choice(pool), chance)
        assert review(code, [], knowledge) == review(code, [], knowledge)
