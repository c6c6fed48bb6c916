//! QEMU's virtio-net-pci as the device of the adapter under test.
//!
//! ```text
//!   ndis-host                                            QEMU (TCG, its CPU halted for ever)
//!   netkvm.sys --- registers ---> [ Function ] --- qtest socket ---> root port, virtio-net-pci
//!       |                             ^                                   |          |
//!       +------- rings ------ one memory file ------ rings and MSI-X -----+          |
//!                                     |                                              |
//!   switch <------- frames -------- [ Wire ] <------------- datagram socket ---------+
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`process`] | command line, sockets and monitor of a QEMU process |
//! | [`qtest`] | the client of the qtest protocol |
//! | [`bus`] | what firmware does: bus numbers, windows, BARs |
//! | [`virtio`] | where the device's registers are |
//! | [`function`] | the PCI function of the host, which is QEMU's |
//! | [`interrupts`] | MSI-X messages, which QEMU stores into memory |
//! | [`wire`] | frames between QEMU and the switch |
//! | [`machine`] | one device with all of these, and its control |
//! | [`backend`] | what makes such devices for a world |
//! | [`capture`] | QEMU's own capture of the wire, dissected |
//! | [`life`] | the life that the suite runs, and what it cost |
//!
//! QEMU lives in real time, so the host runs freely.

pub mod backend;
pub mod bus;
pub mod capture;
pub mod function;
pub mod interrupts;
pub mod life;
pub mod machine;
pub mod process;
pub mod qtest;
pub mod virtio;
pub mod wire;
