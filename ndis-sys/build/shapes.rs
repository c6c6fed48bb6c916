//! What a C type or a Rust type looks like to the calling convention and to a record: its size
//! and whether it is a pointer, an integer or an aggregate.

use std::collections::BTreeMap;

use crate::tables::{Callback, Field, Record, Tables};

/// Kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pointer,
    Signed,
    Unsigned,
    /// Record or array: compared by size and by its own fields.
    Aggregate,
    Void,
}

/// Kind and size in bytes; the size is absent where the tables do not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) size: Option<usize>,
}

impl Shape {
    pub(crate) const POINTER: Self = Self::new(Kind::Pointer, 8);
    pub(crate) const VOID: Self = Self::new(Kind::Void, 0);

    pub(crate) const fn new(kind: Kind, size: usize) -> Self {
        Self {
            kind,
            size: Some(size),
        }
    }

    /// Whether a declaration of shape `self` may stand for a C type of shape `c`.
    ///
    /// An aggregate of the header may be flattened into an integer or an array of the same size.
    pub(crate) fn stands_for(self, c: Self) -> bool {
        let same_size = self.size.is_none() || c.size.is_none() || self.size == c.size;
        same_size && (self.kind == c.kind || c.kind == Kind::Aggregate)
    }
}

/// The size that a field must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Exactly(usize),
    /// At least what its own fields span, at most the room up to the next field.
    Between(usize, usize),
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Pointer => "pointer",
            Kind::Signed => "signed integer",
            Kind::Unsigned => "unsigned integer",
            Kind::Aggregate => "aggregate",
            Kind::Void => "void",
        };
        match self.size {
            Some(size) => write!(f, "{kind} of {size} bytes"),
            None => f.write_str(kind),
        }
    }
}

/// Integer types of C and of the WDK, with size and signedness.
const INTEGERS: &[(&str, Kind, usize)] = &[
    ("ACCESS_MASK", Kind::Unsigned, 4),
    ("BOOLEAN", Kind::Unsigned, 1),
    ("CCHAR", Kind::Signed, 1),
    ("CHAR", Kind::Signed, 1),
    ("CSHORT", Kind::Signed, 2),
    ("EX_POOL_PRIORITY", Kind::Signed, 4),
    ("INT", Kind::Signed, 4),
    ("KAFFINITY", Kind::Unsigned, 8),
    ("KEY_VALUE_INFORMATION_CLASS", Kind::Signed, 4),
    ("KIRQL", Kind::Unsigned, 1),
    ("KPRIORITY", Kind::Signed, 4),
    ("KPROCESSOR_MODE", Kind::Signed, 1),
    ("KSPIN_LOCK", Kind::Unsigned, 8),
    ("LARGE_INTEGER", Kind::Signed, 8),
    ("LONG", Kind::Signed, 4),
    ("LONGLONG", Kind::Signed, 8),
    ("NDIS_MEDIA_CONNECT_STATE", Kind::Signed, 4),
    ("NDIS_MEDIA_DUPLEX_STATE", Kind::Signed, 4),
    ("NDIS_MSIX_TABLE_OPERATION", Kind::Signed, 4),
    ("NDIS_NIC_SWITCH_ID", Kind::Unsigned, 4),
    ("NDIS_NIC_SWITCH_VPORT_ID", Kind::Unsigned, 4),
    ("NDIS_OID", Kind::Unsigned, 4),
    ("NDIS_PHYSICAL_ADDRESS", Kind::Signed, 8),
    ("NDIS_PORT_NUMBER", Kind::Unsigned, 4),
    ("NDIS_RECEIVE_QUEUE_ID", Kind::Unsigned, 4),
    ("NDIS_RSS_CAPS_FLAGS", Kind::Unsigned, 4),
    ("NDIS_STATUS", Kind::Signed, 4),
    ("NET_IFINDEX", Kind::Unsigned, 4),
    ("NET_IFTYPE", Kind::Unsigned, 2),
    ("NET_IF_COMPARTMENT_ID", Kind::Unsigned, 4),
    ("NODE_REQUIREMENT", Kind::Unsigned, 4),
    ("NTSTATUS", Kind::Signed, 4),
    ("PHYSICAL_ADDRESS", Kind::Signed, 8),
    ("SIZE_T", Kind::Unsigned, 8),
    ("UCHAR", Kind::Unsigned, 1),
    ("UINT", Kind::Unsigned, 4),
    ("UINT32", Kind::Unsigned, 4),
    ("ULONG", Kind::Unsigned, 4),
    ("ULONG64", Kind::Unsigned, 8),
    ("ULONGLONG", Kind::Unsigned, 8),
    ("ULONG_PTR", Kind::Unsigned, 8),
    ("USHORT", Kind::Unsigned, 2),
    ("WCHAR", Kind::Unsigned, 2),
    ("int", Kind::Signed, 4),
    ("union _LARGE_INTEGER", Kind::Signed, 8),
    ("unsigned char", Kind::Unsigned, 1),
    ("unsigned long", Kind::Unsigned, 4),
    ("unsigned short", Kind::Unsigned, 2),
];

/// Pointer typedefs whose target is in none of the tables.
const POINTERS: &[&str] = &[
    "HANDLE",
    "IFP_QUERY_OBJECT",
    "IFP_SET_OBJECT",
    "NDIS_HANDLE",
    "NDIS_POLL_HANDLER",
    "NDIS_SET_POLL_NOTIFICATION_HANDLER",
    "NET_BUFFER_ALLOCATE_MDL_HANDLER",
    "NET_BUFFER_FREE_MDL_HANDLER",
    "DIRECT_OID_REQUEST_COMPLETE_HANDLER",
    "UNINSTALL_PROTOCOL_HANDLER",
    "PCSTR",
    "PCUNICODE_STRING",
    "PCWSTR",
    "PDRIVER_EXTENSION",
    "PFAST_IO_DISPATCH",
    "PIO_INTERRUPT_MESSAGE_INFO",
    "PIO_TIMER",
    "PNDIS_RESOURCE_LIST",
    "PNDIS_STRING",
    "PNET_FRAME_TYPE",
    "PRKEVENT",
    "PSECURITY_DESCRIPTOR",
    "LPCGUID",
    "PFILE_OBJECT",
    "PIO_COMPLETION_ROUTINE",
    "PVOID",
    "PVPB",
    "PWCH",
    "PWSTR",
];

/// Typedefs of structs without a tag, which the tables describe only where a field has that type.
const LOCAL_TYPEDEFS: &[&str] = &["BINARY_DATA"];

/// Looks up the shape of C types in the tables.
pub(crate) struct CTypes<'a> {
    tables: &'a Tables,
    integers: BTreeMap<&'static str, Shape>,
    enums: Vec<&'a str>,
}

impl<'a> CTypes<'a> {
    pub(crate) fn new(tables: &'a Tables) -> Self {
        let integers = INTEGERS
            .iter()
            .map(|&(name, kind, size)| (name, Shape::new(kind, size)))
            .collect();
        let enums = tables
            .enumerators
            .values()
            .map(|one| one.tag.trim_start_matches('_'))
            .collect();
        Self {
            tables,
            integers,
            enums,
        }
    }

    /// The shape of a type as a parameter, a return value, or a field with a type name.
    pub(crate) fn shape(&self, c_type: &str) -> Result<Shape, String> {
        let name = c_type
            .trim_start_matches("volatile ")
            .trim_start_matches("const ")
            .trim();
        if let Some((element, count)) = array(name) {
            let element = self.shape(element)?;
            return Ok(Shape {
                kind: Kind::Aggregate,
                size: element.size.map(|one| one * count),
            });
        }
        if name == "void" {
            return Ok(Shape::VOID);
        }
        if name.ends_with('*') {
            return Ok(Shape::POINTER);
        }
        if let Some(&shape) = self.integers.get(name) {
            return Ok(shape);
        }
        let bare = name
            .trim_start_matches("struct ")
            .trim_start_matches("union ");
        if let Some((_, record)) = self.tables.record(bare.trim_start_matches('_')) {
            return Ok(Shape::new(Kind::Aggregate, record.size));
        }
        if self.enums.contains(&name) {
            return Ok(Shape::new(Kind::Signed, 4));
        }
        if self.is_pointer(name) {
            return Ok(Shape::POINTER);
        }
        Err(format!("C type {c_type:?} is unknown to build/shapes.rs"))
    }

    /// The size of a field: exact, or bounded for a struct or union defined inside the record.
    pub(crate) fn field_size(&self, record: &Record, field: &Field) -> Result<Size, String> {
        if field.c_type.contains("(anonymous)") || self.is_local_record(&field.c_type) {
            let at_least = self.extent(record, field)?;
            return Ok(Size::Between(at_least, room(record, field)));
        }
        self.shape(&field.c_type)?
            .size
            .map(Size::Exactly)
            .ok_or_else(|| format!("C type {:?} has no size", field.c_type))
    }

    /// The kind of a field; one defined inside the record is an aggregate.
    pub(crate) fn field_kind(&self, field: &Field) -> Result<Kind, String> {
        if field.c_type.contains("(anonymous)") || self.is_local_record(&field.c_type) {
            return Ok(Kind::Aggregate);
        }
        self.shape(&field.c_type).map(|shape| shape.kind)
    }

    /// Typedef of a pointer: listed, to a callback, or `P` before a name of the tables.
    fn is_pointer(&self, name: &str) -> bool {
        let callback = self.tables.callbacks.get(name);
        let target = name.strip_prefix('P').unwrap_or_default();
        POINTERS.contains(&name)
            || matches!(callback, Some(Callback::PointerTo(_)))
            || self.tables.callbacks.contains_key(target)
            || self.tables.record(target).is_some()
            || self.integers.contains_key(target)
            || self.enums.contains(&target)
            || POINTERS.contains(&target)
    }

    /// A type such as `union _REQUEST_DATA`, defined inside the record and nowhere else.
    fn is_local_record(&self, c_type: &str) -> bool {
        if LOCAL_TYPEDEFS.contains(&c_type) {
            return true;
        }
        let tag = c_type
            .strip_prefix("struct ")
            .or_else(|| c_type.strip_prefix("union "));
        tag.is_some_and(|tag| {
            !tag.ends_with('*') && tag != "_LARGE_INTEGER" && !self.tables.records.contains_key(tag)
        })
    }

    /// Bytes that the fields inside `outer` span.
    fn extent(&self, record: &Record, outer: &Field) -> Result<usize, String> {
        let inside = format!("{}.", outer.path);
        let mut end = outer.offset;
        for field in record
            .fields
            .iter()
            .filter(|field| field.path.starts_with(&inside))
        {
            let size = match self.field_size(record, field)? {
                Size::Exactly(size) => size,
                Size::Between(at_least, _) => at_least,
            };
            // A bit-field's storage unit begins at a multiple of its size.
            let start = match size {
                2 | 4 | 8 if field.is_bit_field => {
                    field.offset - (field.offset - outer.offset) % size
                }
                _ => field.offset,
            };
            end = end.max(start + size);
        }
        Ok(end - outer.offset)
    }
}

/// Bytes from `field` to the next field beside it, or to the end of the record.
fn room(record: &Record, field: &Field) -> usize {
    let parent = field.path.strip_suffix(field.name()).unwrap_or_default();
    let beside = |other: &&Field| {
        other.path.strip_suffix(other.name()) == Some(parent) && other.offset > field.offset
    };
    let next = record
        .fields
        .iter()
        .filter(beside)
        .map(|other| other.offset)
        .min();
    next.unwrap_or(record.size) - field.offset
}

/// `ULONG[5]` -> (`ULONG`, 5); a flexible array has 0 elements.
fn array(c_type: &str) -> Option<(&str, usize)> {
    let (element, rest) = c_type.rsplit_once('[')?;
    let count = rest.strip_suffix(']')?;
    if count.is_empty() {
        Some((element, 0))
    } else {
        Some((element, count.parse().ok()?))
    }
}
