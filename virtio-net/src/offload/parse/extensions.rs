//! IPv6 extension headers (RFC 8200, 4), as far as one can stand in front of a transport header.

use super::ip::address;
use super::{Fault, Unparsed, View};

/// Extension headers that are walked; a packet with more is not parsed.
///
/// RFC 8200 (4.1) has six different ones, one of them twice.
pub const MAX_EXTENSIONS: usize = 8;

/// Options of a destination options header that are looked at.
const MAX_OPTIONS: usize = 16;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// Fragment offset and "more fragments" of a fragment header.
const FRAGMENT_BITS: u16 = 0xfff9;

/// Home address option (RFC 6275, 6.3).
const HOME_ADDRESS: u8 = 201;

/// What the extension headers of a packet say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extensions {
    /// Whether there are any.
    pub present: bool,
    /// The address in a home address option: the true source (RFC 6275, 6.3).
    pub home_address: Option<[u8; 16]>,
    /// The address in a routing header of type 2 (RFC 6275, 6.4).
    pub routing_address: Option<[u8; 16]>,
    /// Where the packet goes in the end, when a routing header says that it is not there yet.
    pub final_destination: Option<[u8; 16]>,
    /// The true addresses cannot be told: a routing header of an unknown type, or options that are
    /// wrong or too many.
    pub hidden_addresses: bool,
}

impl Extensions {
    /// No extension headers.
    pub const NONE: Self = Self {
        present: false,
        home_address: None,
        routing_address: None,
        final_destination: None,
        hidden_addresses: false,
    };
}

/// Where a walk ended.
pub(super) struct Walked {
    /// The protocol of what follows.
    pub(super) next: u8,
    /// Where it starts.
    pub(super) at: usize,
    /// Whether it is a part of something only.
    pub(super) fragment: bool,
    pub(super) extensions: Extensions,
}

/// Walks from the header of kind `next` at `at` to what is none.
#[inline]
pub(super) fn walk(view: &View<'_>, next: u8, at: usize) -> Result<Walked, Unparsed> {
    let mut walked = Walked {
        next,
        at,
        fragment: false,
        extensions: Extensions::NONE,
    };
    // Hardly any packet has extension headers.
    if is_extension(next) {
        walked.steps(view)?;
    }
    Ok(walked)
}

const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
    )
}

impl Walked {
    #[inline(never)]
    fn steps(&mut self, view: &View<'_>) -> Result<(), Unparsed> {
        for _ in 0..MAX_EXTENSIONS {
            self.step(view)?;
            if self.fragment || !is_extension(self.next) {
                return Ok(());
            }
        }
        Err(Unparsed::Malformed(Fault::Extensions))
    }

    fn step(&mut self, view: &View<'_>) -> Result<(), Unparsed> {
        let &[next, units] = view.array(self.at)?;
        let units = usize::from(units);
        // Units of eight bytes, of four in an authentication header (RFC 4302, 2.2), not counting
        // the first eight bytes.
        let len = match self.next {
            FRAGMENT => 8,
            AUTHENTICATION => units.saturating_add(2) << 2,
            _ => units.saturating_add(1) << 3,
        };
        let header = view.slice(self.at, len)?;
        match self.next {
            FRAGMENT => self.fragment = is_fragment(header),
            ROUTING => self.extensions.route(header)?,
            DESTINATION => self.extensions.options(header),
            _ => {}
        }
        self.extensions.present = true;
        self.next = next;
        self.at = self.at.saturating_add(len);
        Ok(())
    }
}

/// A fragment header may stand in front of a whole packet: an atomic fragment (RFC 6946).
fn is_fragment(header: &[u8]) -> bool {
    match header {
        [_, _, bits_0, bits_1, ..] => u16::from_be_bytes([*bits_0, *bits_1]) & FRAGMENT_BITS != 0,
        _ => true,
    }
}

impl Extensions {
    fn route(&mut self, header: &[u8]) -> Result<(), Unparsed> {
        let [_, _, kind, left, _, _, _, _, addresses @ ..] = header else {
            return Err(Unparsed::Malformed(Fault::CutOff));
        };
        let last = match *kind {
            // RFC 2460, 4.4: in the order of the way.
            0 => addresses.last_chunk::<16>(),
            // RFC 6275, 6.4: exactly one.
            2 if addresses.len() == 16 => {
                self.routing_address = Some(address(addresses)?);
                addresses.first_chunk()
            }
            // RFC 8754, 2: against the order of the way.
            4 => addresses.first_chunk(),
            _ => None,
        };
        match last {
            _ if *left == 0 => {}
            Some(last) => self.final_destination = Some(*last),
            None => self.hidden_addresses = true,
        }
        Ok(())
    }

    fn options(&mut self, header: &[u8]) {
        let mut rest = header.get(2..).unwrap_or_default();
        for _ in 0..MAX_OPTIONS {
            let (kind, data, behind) = match rest {
                [] => return,
                // One byte of padding, without a length.
                [0, behind @ ..] => {
                    rest = behind;
                    continue;
                }
                [kind, len, behind @ ..] => match behind.split_at_checked(usize::from(*len)) {
                    Some((data, behind)) => (*kind, data, behind),
                    None => break,
                },
                [_] => break,
            };
            if kind == HOME_ADDRESS {
                match <[u8; 16]>::try_from(data) {
                    Ok(home) => self.home_address = Some(home),
                    Err(_) => break,
                }
            }
            rest = behind;
        }
        // Something is wrong or goes on: there may be a home address that was not found.
        if !rest.is_empty() {
            self.hidden_addresses = true;
        }
    }
}
