//! A small driver image, put together byte by byte.
//!
//! ```text
//!   0x0000 headers   0x1000 .text   0x2000 .rdata: imports   0x3000 .data   0x4000 .reloc
//! ```

/// Virtual addresses of the sections; the file has them at the same places.
pub(crate) const TEXT: u32 = 0x1000;
pub(crate) const RDATA: u32 = 0x2000;
pub(crate) const DATA: u32 = 0x3000;
pub(crate) const RELOC: u32 = 0x4000;
/// Size of image and file.
pub(crate) const SIZE: u32 = 0x5000;
/// Base that the image was linked for.
pub(crate) const PREFERRED: u64 = 0x1_4000_0000;
/// The word that [`DATA`] + 8 holds.
pub(crate) const MAGIC: u64 = 0x1122_3344_5566_7788;

const HEADERS: usize = 0x80;
const OPTIONAL: usize = HEADERS + 24;
const DIRECTORIES: usize = OPTIONAL + 112;
const SECTIONS: usize = DIRECTORIES + 16 * 8;

const CODE: u32 = 0x6000_0020;
const READ: u32 = 0x4000_0040;
const READ_WRITE: u32 = 0xC000_0040;

/// The bytes of an image, which may be changed before it is loaded.
pub(crate) struct Image(pub(crate) Vec<u8>);

impl Image {
    /// An image whose entry point is `code`, and that imports `ntoskrnl.exe!Report`.
    ///
    /// The word at [`DATA`] is the address of [`MAGIC`], to be relocated.
    pub(crate) fn with_code(code: &[u8]) -> Self {
        let mut image = Self(vec![0; SIZE as usize]);
        image.headers();
        image.put(TEXT, code);
        image.imports("ntoskrnl.exe", &["Report"]);
        image.put(DATA, &(PREFERRED + u64::from(DATA) + 8).to_le_bytes());
        image.put(DATA + 8, &MAGIC.to_le_bytes());
        image.relocations(&[(10, 0)]);
        image
    }

    /// An image that calls `Report` with the relocated address, and returns what that returns.
    pub(crate) fn reporting() -> Self {
        let mut code = vec![0x48, 0x83, 0xEC, 0x28]; // sub rsp, 0x28
        code.extend([0x48, 0x8B, 0x0D]); // mov rcx, [rip + ...]
        code.extend((DATA - (TEXT + 11)).to_le_bytes());
        code.extend([0xFF, 0x15]); // call [rip + ...]
        code.extend((Self::SLOT - (TEXT + 17)).to_le_bytes());
        code.extend([0x48, 0x83, 0xC4, 0x28, 0xC3]); // add rsp, 0x28; ret
        Self::with_code(&code)
    }

    /// Where the first address of the import address table is.
    pub(crate) const SLOT: u32 = RDATA + 0x100;

    /// Puts bytes at a virtual address.
    pub(crate) fn put(&mut self, address: u32, bytes: &[u8]) {
        self.0[address as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn put_u16(&mut self, offset: usize, value: u16) {
        self.put(offset as u32, &value.to_le_bytes());
    }

    fn put_u32(&mut self, offset: usize, value: u32) {
        self.put(offset as u32, &value.to_le_bytes());
    }

    fn headers(&mut self) {
        self.put(0, b"MZ");
        self.put_u32(0x3C, HEADERS as u32);
        self.put(HEADERS as u32, b"PE\0\0");
        self.put_u16(HEADERS + 4, 0x8664);
        self.put_u16(HEADERS + 6, 4); // sections
        self.put_u16(HEADERS + 20, 112 + 16 * 8); // size of the optional header
        self.put_u16(HEADERS + 22, 0x22); // executable, large addresses
        self.put_u16(OPTIONAL, 0x20B);
        self.put_u32(OPTIONAL + 16, TEXT); // entry point
        self.put((OPTIONAL + 24) as u32, &PREFERRED.to_le_bytes());
        self.put_u32(OPTIONAL + 32, 0x1000); // section alignment
        self.put_u32(OPTIONAL + 36, 0x200); // file alignment
        self.put_u32(OPTIONAL + 56, SIZE);
        self.put_u32(OPTIONAL + 60, 0x400); // size of headers
        self.put_u16(OPTIONAL + 68, 1); // native
        self.put_u32(OPTIONAL + 108, 16); // directories
        self.directory(1, RDATA, 0x100);
        self.directory(5, RELOC, 0x0C);
        for (index, (name, address, access)) in [
            (".text", TEXT, CODE),
            (".rdata", RDATA, READ),
            (".data", DATA, READ_WRITE),
            (".reloc", RELOC, READ),
        ]
        .into_iter()
        .enumerate()
        {
            self.section(index, name, address, access);
        }
    }

    /// Sets a data directory.
    pub(crate) fn directory(&mut self, index: usize, address: u32, size: u32) {
        self.put_u32(DIRECTORIES + index * 8, address);
        self.put_u32(DIRECTORIES + index * 8 + 4, size);
    }

    fn section(&mut self, index: usize, name: &str, address: u32, access: u32) {
        let header = SECTIONS + index * 40;
        self.put(header as u32, name.as_bytes());
        self.put_u32(header + 8, 0x1000);
        self.put_u32(header + 12, address);
        self.put_u32(header + 16, 0x1000);
        self.put_u32(header + 20, address);
        self.put_u32(header + 36, access);
    }

    /// Sets the characteristics of a section.
    pub(crate) fn set_access(&mut self, index: usize, access: u32) {
        self.put_u32(SECTIONS + index * 40 + 36, access);
    }

    /// Sets the name of a section.
    pub(crate) fn set_section_name(&mut self, index: usize, name: &[u8; 5]) {
        self.put((SECTIONS + index * 40) as u32, &[0; 8]);
        self.put((SECTIONS + index * 40) as u32, name);
    }

    /// Sets the virtual address of a section.
    pub(crate) fn set_section_address(&mut self, index: usize, address: u32) {
        self.put_u32(SECTIONS + index * 40 + 12, address);
    }

    pub(crate) fn set_machine(&mut self, machine: u16) {
        self.put_u16(HEADERS + 4, machine);
    }

    pub(crate) fn set_characteristics(&mut self, characteristics: u16) {
        self.put_u16(HEADERS + 22, characteristics);
    }

    pub(crate) fn set_magic(&mut self, magic: u16) {
        self.put_u16(OPTIONAL, magic);
    }

    pub(crate) fn set_subsystem(&mut self, subsystem: u16) {
        self.put_u16(OPTIONAL + 68, subsystem);
    }

    pub(crate) fn set_entry(&mut self, address: u32) {
        self.put_u32(OPTIONAL + 16, address);
    }

    pub(crate) fn set_section_alignment(&mut self, alignment: u32) {
        self.put_u32(OPTIONAL + 32, alignment);
    }

    pub(crate) fn set_checksum(&mut self, checksum: u32) {
        self.put_u32(OPTIONAL + 64, checksum);
    }

    /// Writes the import tables for one module.
    pub(crate) fn imports(&mut self, dll: &str, names: &[&str]) {
        let (lookup, mut text) = (RDATA + 0x80, RDATA + 0x200);
        self.put(text, &terminated(dll));
        self.put_u32(RDATA as usize, lookup);
        self.put_u32(RDATA as usize + 12, text);
        self.put_u32(RDATA as usize + 16, Self::SLOT);
        for (index, name) in names.iter().enumerate() {
            text += 0x40;
            self.put(text + 2, &terminated(name));
            self.put(lookup + 8 * index as u32, &u64::from(text).to_le_bytes());
            self.put(
                Self::SLOT + 8 * index as u32,
                &u64::from(text).to_le_bytes(),
            );
        }
    }

    /// Makes the first import one by number.
    pub(crate) fn import_by_ordinal(&mut self, ordinal: u16) {
        self.put(RDATA + 0x80, &(1 << 63 | u64::from(ordinal)).to_le_bytes());
    }

    /// Writes one block of relocations: kind and offset into [`DATA`].
    pub(crate) fn relocations(&mut self, entries: &[(u16, u16)]) {
        self.put_u32(RELOC as usize, DATA);
        self.put_u32(RELOC as usize + 4, 0x0C);
        for (index, (kind, offset)) in entries.iter().enumerate() {
            self.put_u16(RELOC as usize + 8 + 2 * index, kind << 12 | offset);
        }
    }
}

fn terminated(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}
