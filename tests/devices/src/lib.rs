//! Emulated devices, and the wire they are plugged into.
//!
//! Nothing here knows NDIS or the driver under test. A device function sees the machine through
//! [`pci::PciHost`] and time through [`wire::Clock`]; the machine sees the function through
//! [`pci::PciFunction`]. So the same device runs under any scheduler, and a fault in the driver's
//! ring code cannot hide behind the same fault here: the device side of the split rings is
//! rust-vmm's `virtio-queue`, that of the packed rings is written from the specification.
//!
//! * [`pci`]: configuration space, BARs, capabilities and MSI-X.
//! * [`virtio_net`]: a virtio-net PCI function, modelled on QEMU's, and its misbehaving twin.
//! * [`vf_port`]: the hardware below a virtual function's miniport.
//! * [`wire`]: switch, ledger of frames, and TCP/IP hosts.
//!
//! Everything is `Send` and takes no notice of threads; a harness that runs one thread at a time
//! gets the same run from the same inputs.

#![forbid(unsafe_code)]

pub mod pci;
pub mod vf_port;
pub mod virtio_net;
pub mod wire;
