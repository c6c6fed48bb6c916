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
//! | [`process`] | a QEMU process: its command line, what it inherits, how it ends |
//! | [`monitor`] | its monitor: commands and events |
//! | [`qtest`] | the client of the qtest protocol |
//! | [`bus`] | what firmware does: bus numbers, windows, BARs |
//! | [`bars`] | where BARs are, and how a register in one is reached |
//! | [`hotplug`] | slots whose cards come and go |
//! | [`virtio`] | where a card's registers are |
//! | [`function`] | the PCI function of the host, which is QEMU's |
//! | [`interrupts`] | MSI-X messages, which QEMU stores into memory |
//! | [`wire`] | frames between QEMU and the switch |
//! | [`tap`] | a TAP device of the kernel's as the cable |
//! | [`frames`] | frames that are told apart |
//! | [`card`] | a card with all of these |
//! | [`machine`] | QEMU with its cards |
//! | [`migration`] | from one QEMU to another |
//! | [`backend`] | what makes such devices for a world |
//! | [`capture`] | QEMU's own capture of the wire, dissected |
//! | [`seen`] | what device and driver have agreed on |
//! | [`alone`] | for the tests: one program at a time |
//! | [`life`] | the life that the suite runs, and what it cost |
//! | [`load`] | what happens in a life |
//! | [`matrix`] | the devices that there are, each with what is expected of it |
//! | [`rig`] | the migration that `cargo xtask migrate --backend qemu` runs |
//! | [`scenarios`] | failover scenarios, QEMU's own among them |
//!
//! QEMU lives in real time, so the host runs freely.

pub mod alone;
pub mod backend;
pub mod bars;
pub mod bus;
pub mod capture;
pub mod card;
pub mod frames;
pub mod function;
pub mod hotplug;
pub mod interrupts;
pub mod life;
pub mod load;
pub mod machine;
pub mod matrix;
pub mod migration;
pub mod monitor;
pub mod process;
pub mod qtest;
pub mod rig;
pub mod scenarios;
pub mod seen;
pub mod tap;
pub mod virtio;
pub mod wire;
