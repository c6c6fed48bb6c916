//! Receive-side scaling: which flow a frame belongs to, and which queue that flow.
//!
//! The hash of a frame is that of Microsoft's receive-side scaling, which virtio took over
//! (virtio 1.2, 5.1.6.4.3): [`Toeplitz`] over the addresses and ports that [`HashTypes`] choose. A
//! device may report it ([`FlowHash::reported`]); otherwise the driver computes it
//! ([`Toeplitz::hash`]). An [`IndirectionTable`] makes a queue of it.

mod table;
mod toeplitz;
mod types;

pub use table::{BadTable, IndirectionTable, MAX_ENTRIES};
pub use toeplitz::{KEY_LEN, MAX_INPUT_LEN, Toeplitz};
pub use types::{FlowHash, HashKind, HashTypes};
