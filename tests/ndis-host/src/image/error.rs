//! Why a file cannot be loaded.

use std::io;

/// Reason for which [`super::load`] or [`super::inspect`] refuses a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An import by number: the kernel's exports have names.
    #[error("import of ordinal {ordinal} from {dll}: only named imports are supported")]
    ImportByOrdinal {
        /// The module.
        dll: String,
        /// The number.
        ordinal: u16,
    },
    /// The import directory contradicts itself or leaves the image.
    #[error("import directory: {0}")]
    Imports(String),
    /// The system refused memory or an access right.
    #[error("mapping: {0}")]
    Map(#[from] io::Error),
    /// The image can be loaded at one address only.
    #[error("no relocations: the image can be loaded at its preferred address only")]
    NoRelocations,
    /// The file is no PE image.
    #[error("not a PE image: {0}")]
    NotPe(String),
    /// The relocation directory contradicts itself or leaves the image.
    #[error("relocation directory: {0}")]
    Relocations(String),
    /// A section that is writable and executable (rule 217: HVCI).
    #[error("section {0} is writable and executable")]
    SectionAccess(String),
    /// Alignment below a page, or not a multiple of it (rule 217: HVCI).
    #[error("section alignment {0:#x} is not a multiple of the page size")]
    SectionAlignment(u32),
    /// A section's data is not in the file: the file is cut off.
    #[error("section {name} lies outside of the file: its data ends at {end:#x} of {len:#x}")]
    SectionOutsideFile {
        /// The section.
        name: String,
        /// Where its data ends.
        end: u64,
        /// Length of the file.
        len: u64,
    },
    /// A section overlaps another one or the end of the image.
    #[error("section {0} overlaps another one or the end of the image")]
    SectionPlace(String),
    /// The file ends within its headers.
    #[error("headers are cut off: {0}")]
    TruncatedHeaders(String),
    /// Imports that the host does not offer; all of them.
    #[error("unknown imports: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// Something that driver images do not have.
    #[error("driver images have no {0}")]
    Unsupported(&'static str),
    /// The entry point is not in code.
    #[error("entry point {0:#x} is not in an executable section")]
    WrongEntry(u32),
    /// An image for another processor.
    #[error("machine {0:#06x} instead of x64 (0x8664)")]
    WrongMachine(u16),
    /// An image for another environment.
    #[error("subsystem {0} instead of native (1)")]
    WrongSubsystem(u16),
}
