//! The symbols that precompiled `core` and `alloc` refer to and that no import provides.
//!
//! They are written as assembly so that they stay out of the image's export table, where every
//! `#[no_mangle]` item of a cdylib ends up. The optimised image refers to none of them; a build
//! without link-time optimisation does.
//!
//! `__chkstk` is missing on purpose. The compiler calls it in a function whose frame exceeds one
//! page (4 KiB); a kernel stack has six (x64). Such a function does not link, and the linker's
//! message names it.

use core::arch::global_asm;

// `__CxxFrameHandler3`: named by the unwind tables of `core`. Nothing unwinds in this image, so a
// call means corruption: fail fast (`__fastfail(FAST_FAIL_FATAL_APP_EXIT)`).
// `strlen`: what `CStr::from_ptr` is built on.
// `_fltused`: the marker of objects with floating-point code.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".section .text,\"xr\"",
    ".globl __CxxFrameHandler3",
    ".p2align 4",
    "__CxxFrameHandler3:",
    "mov ecx, 7",
    "int 0x29",
    ".globl strlen",
    ".p2align 4",
    "strlen:",
    "xor eax, eax",
    "2:",
    "cmp byte ptr [rcx + rax], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    ".section .rdata,\"dr\"",
    ".globl _fltused",
    ".p2align 2",
    "_fltused:",
    ".long 0x9875",
    ".section .text,\"xr\"",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".section .text,\"xr\"",
    ".globl __CxxFrameHandler3",
    ".p2align 4",
    "__CxxFrameHandler3:",
    "mov w0, #7",
    "brk #0xF003",
    ".globl strlen",
    ".p2align 4",
    "strlen:",
    "mov x1, x0",
    "2:",
    "ldrb w2, [x1], #1",
    "cbnz w2, 2b",
    "sub x0, x1, x0",
    "sub x0, x0, #1",
    "ret",
    ".section .rdata,\"dr\"",
    ".globl _fltused",
    ".p2align 2",
    "_fltused:",
    ".long 0x9875",
    ".section .text,\"xr\"",
);
