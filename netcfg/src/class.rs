//! Setup classes.

use windows::core::GUID;

/// Network adapters.
pub const NET: GUID = GUID::from_u128(0x4d36e972_e325_11ce_bfc1_08002be10318);
/// Protocols.
pub const NETTRANS: GUID = GUID::from_u128(0x4d36e975_e325_11ce_bfc1_08002be10318);
