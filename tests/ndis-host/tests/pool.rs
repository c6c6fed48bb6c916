//! Pool: accounting, and the reports of misuse.

mod common;

use std::ptr::NonNull;

use common::pe::Image;
use ndis_host::image::{self, Import};
use ndis_host::memory::pool::{self, Kind, Request, Tag};
use ndis_host::memory::{self, PHYSICAL_BASE};
use vm_memory::{Bytes, GuestAddress};

const TEST: &str = "pool_is_accounted_for_and_guarded";
const TAG: Tag = Tag(u32::from_le_bytes(*b"NKvm"));

#[test]
fn pool_is_accounted_for_and_guarded() {
    match common::role() {
        Some(role) => {
            common::start_small();
            misuse(&role);
            common::finish();
        }
        None => {
            common::start_small();
            blocks_are_aligned_filled_and_listed();
            memory_is_what_devices_see();
            blocks_come_back_after_the_quarantine();
            a_block_belongs_to_the_driver_whose_code_asked_for_it();
            common::expect_breaches(TEST, &CASES);
        }
    }
}

const CASES: [(&str, u16, &str); 8] = [
    (
        "freed twice",
        214,
        "pool block 'NKvm' of 100 bytes (no. 1, a.sys+0x10) freed twice",
    ),
    ("wrong tag", 214, "freed with tag 'Othr'"),
    ("overrun", 214, "byte +100 was changed"),
    ("underrun", 214, "byte -1 was changed"),
    ("no block", 214, "which is no pool block"),
    ("middle of a block", 214, "free in the middle of pool block"),
    (
        "written after free",
        214,
        "was written at +99 after it was freed",
    ),
    (
        "leak",
        14,
        "a.sys leaves 2 pool blocks with tag 'NKvm' (200 bytes), the oldest from a.sys+0x10",
    ),
];

fn request(size: usize, kind: Kind) -> Request {
    Request {
        size,
        tag: TAG,
        kind,
        zeroed: false,
        owner: "a.sys",
        site: 0x10,
    }
}

fn allocate(size: usize) -> NonNull<u8> {
    pool::allocate(&request(size, Kind::NonPagedNx)).unwrap()
}

fn misuse(role: &str) {
    let block = allocate(100);
    // SAFETY: both bytes are inside of guest memory; that they are not the block's is the point.
    let (before, behind) = unsafe { (block.sub(1), block.add(100)) };
    match role {
        "freed twice" => {
            pool::free(block.as_ptr(), Some(TAG));
            pool::free(block.as_ptr(), Some(TAG));
        }
        "wrong tag" => pool::free(block.as_ptr(), Some(Tag(u32::from_le_bytes(*b"Othr")))),
        "overrun" => damage(block, behind),
        "underrun" => damage(block, before),
        "no block" => pool::free(memory::allocate(64, 64).unwrap().as_ptr(), None),
        "middle of a block" => {
            // SAFETY: the byte is in the block.
            pool::free(unsafe { block.add(16) }.as_ptr(), None);
        }
        "written after free" => {
            pool::free(block.as_ptr(), Some(TAG));
            // SAFETY: the byte is in guest memory; that the block is freed is the point.
            unsafe { block.add(99).write(0) };
            pool::report_leaks("a.sys");
        }
        "leak" => {
            allocate(100);
            assert_eq!(pool::report_leaks("b.sys"), 0);
            assert_eq!(pool::report_leaks("a.sys"), 2);
        }
        other => panic!("unknown role {other}"),
    }
}

fn damage(block: NonNull<u8>, byte: NonNull<u8>) {
    // SAFETY: the byte is a guard byte in guest memory.
    unsafe { byte.write(0) };
    pool::free(block.as_ptr(), Some(TAG));
}

fn blocks_are_aligned_filled_and_listed() {
    let small = allocate(100);
    let cached = pool::allocate(&request(10, Kind::NonPagedNxCacheAligned)).unwrap();
    let large = allocate(5000);
    let zeroed = Request {
        zeroed: true,
        ..request(64, Kind::Paged)
    };
    let zeroed = pool::allocate(&zeroed).unwrap();
    assert_eq!(small.addr().get() % 16, 0);
    assert_eq!(cached.addr().get() % 64, 0);
    assert_eq!(large.addr().get() % 4096, 0);
    // SAFETY: the blocks have at least 64 bytes and are in use.
    let first = |block: NonNull<u8>| unsafe { block.cast::<[u8; 64]>().read() };
    assert_ne!(first(small), [0; 64], "fresh pool is not zero");
    assert_eq!(first(zeroed), [0; 64]);

    let blocks = pool::outstanding("a.sys");
    assert_eq!(
        blocks
            .iter()
            .map(|block| block.request.size)
            .collect::<Vec<_>>(),
        [100, 10, 5000, 64]
    );
    // SAFETY: the address is in the block.
    let inside = unsafe { large.add(4999) };
    assert_eq!(
        pool::block_at(inside.as_ptr()).unwrap().address,
        large.addr().get()
    );

    for block in [small, cached, large, zeroed] {
        pool::free(block.as_ptr(), Some(TAG));
    }
    assert_eq!(pool::report_leaks("a.sys"), 0);
    let statistics = pool::statistics();
    assert_eq!(
        (statistics.allocations, statistics.frees, statistics.bytes),
        (4, 4, 0)
    );
    assert_eq!(statistics.peak_bytes, 5174);
}

fn memory_is_what_devices_see() {
    let block = memory::allocate(4096, 4096).unwrap();
    let address = memory::physical(block.as_ptr()).unwrap();
    assert!(address >= PHYSICAL_BASE && address.is_multiple_of(4096));
    // SAFETY: the block is ours.
    unsafe { block.cast::<u32>().write(0xAABB_CCDD) };
    assert_eq!(
        memory::guest()
            .read_obj::<u32>(GuestAddress(address))
            .unwrap(),
        0xAABB_CCDD
    );
    assert_eq!(memory::at_physical(address), Some(block));
    assert!(memory::contains(block.as_ptr(), 4096));
    assert_eq!(memory::physical((&raw const address).cast()), None);
    memory::free(block, 4096, 4096);
}

fn blocks_come_back_after_the_quarantine() {
    let before = memory::bytes_in_use();
    for _ in 0..10_000 {
        pool::free(allocate(2000).as_ptr(), Some(TAG));
    }
    pool::report_leaks("a.sys");
    assert_eq!(memory::bytes_in_use(), before);
}

fn a_block_belongs_to_the_driver_whose_code_asked_for_it() {
    let mut code = vec![0x48, 0x83, 0xEC, 0x28]; // sub rsp, 0x28
    code.extend([0xB9, 0, 2, 0, 0]); // mov ecx, NonPagedPoolNx
    code.extend([0xBA, 64, 0, 0, 0]); // mov edx, 64
    code.extend([0x41, 0xB8]); // mov r8d, tag
    code.extend(TAG.0.to_le_bytes());
    code.extend([0x48, 0xB8]); // mov rax, ExAllocatePoolWithTag
    code.extend(common::export("ExAllocatePoolWithTag").addr().to_le_bytes());
    code.extend([0xFF, 0xD0, 0x48, 0x83, 0xC4, 0x28, 0xC3]); // call rax; add rsp, 0x28; ret
    let imports = [Import {
        dll: "ntoskrnl.exe",
        name: "Report",
        address: std::ptr::null(),
    }];
    let image = image::load("driver.sys", &Image::with_code(&code).0, &imports).unwrap();
    // SAFETY: the entry point has this type.
    let entry: unsafe extern "efiapi" fn() -> *mut u8 =
        unsafe { std::mem::transmute(image.entry()) };

    // SAFETY: the image is loaded.
    let block = unsafe { entry() };

    let blocks = pool::outstanding("driver.sys");
    assert_eq!(blocks.len(), 1);
    assert_eq!(
        (blocks[0].address, blocks[0].request.tag),
        (block.addr(), TAG)
    );
    let code_end = 0x1000 + code.len();
    assert!((0x1000..code_end).contains(&blocks[0].request.site));
    pool::free(block, Some(TAG));
}
