//! What device and driver share of the work on a frame: checksums, segmentation, VLAN tags.
//!
//! Pure arithmetic on bytes. [`parse`] finds the headers of a frame; [`send`] turns what the system
//! asks for into a header for the device and the bytes to change in the frame; [`receive`] judges
//! what the device says of a frame that it has received. What the device cannot do of it, the driver
//! does with [`checksum`] and [`vlan`].
//!
//! A frame need not lie in one piece. Its headers do, as far as they are looked into: a function
//! that takes a `head` takes the first contiguous bytes of a frame, and says when those are too few.
//! What runs over the payload takes the pieces of the frame, in order, of any lengths.

pub mod checksum;
pub mod parse;
pub mod receive;
pub mod send;
pub mod vlan;
