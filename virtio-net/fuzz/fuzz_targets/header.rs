//! Any frame with any header: parsed, sent, received, hashed.
//!
//! An input is 64 bytes that choose, then a frame; see `Choices::take`.

#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use virtio_net::features::Features;
use virtio_net::header::{HeaderLayout, NetHeader};
use virtio_net::offload::parse::{Layers, Lengths, Link, Unparsed, parse};
use virtio_net::offload::receive::{ReceiveOffloads, State, check};
use virtio_net::offload::send::{Request, Segmentation, SendOffloads};
use virtio_net::offload::vlan::{self, Tag};
use virtio_net::rss::{FlowHash, HashTypes, IndirectionTable, Toeplitz};

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    let Ok(choices) = Choices::take(&mut input) else {
        return;
    };
    let frame = input.take_rest();
    choices.parse(frame);
    choices.send(frame);
    choices.receive(frame);
    choices.hash(frame);
    strip(frame);
});

struct Choices {
    features: Features,
    header: [u8; 20],
    /// Bytes of the frame that are shown.
    given: usize,
    /// Where the frame is cut into pieces.
    cut: usize,
    request: Request,
    types: HashTypes,
}

impl Choices {
    fn take(input: &mut Unstructured<'_>) -> Result<Self> {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(input.bytes(64)?);
        let [control, what, segments, rest @ ..] = bytes;
        let (features, rest) = rest.split_first_chunk::<16>().unwrap();
        let (header, rest) = rest.split_first_chunk::<20>().unwrap();
        let number = |at: usize| u16::from_le_bytes([rest[at], rest[at + 1]]);
        let size = u32::from(number(4));
        Ok(Self {
            // Few bits that are drawn hit a feature: often all are there.
            features: match control & 3 {
                0 => Features::from_bits(u128::from_le_bytes(*features)),
                1 => Features::NONE,
                _ => Features::ALL,
            },
            header: *header,
            given: match control & 4 {
                0 => usize::MAX,
                _ => usize::from(number(0)),
            },
            cut: usize::from(number(2)),
            request: Request {
                ipv4_checksum: what & 1 != 0,
                tcp_checksum: what & 2 != 0,
                udp_checksum: what & 4 != 0,
                segmentation: match segments & 3 {
                    1 => Some(Segmentation::Tcp { size }),
                    2 => Some(Segmentation::Udp { size }),
                    _ => None,
                },
                transport_at: (what & 8 != 0).then(|| number(6)),
                tag: Tag::new(what >> 5, false, number(8) & 0xfff).filter(|_| what & 16 != 0),
            },
            types: HashTypes::from_bits(u32::from(number(10))),
        })
    }

    fn head<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[..self.given.min(frame.len())]
    }

    fn parse(&self, frame: &[u8]) {
        let head = self.head(frame);
        for lengths in [Lengths::Stated, Lengths::OfFrame] {
            let whole = parse(frame, frame.len(), lengths);
            assert!(!matches!(whole, Err(Unparsed::Incomplete { .. })));
            if let Ok(layers) = &whole {
                assert_within(layers, frame.len());
            }
            match parse(head, frame.len(), lengths) {
                Err(Unparsed::Incomplete { needed }) => {
                    assert!(needed > head.len() && needed <= frame.len());
                }
                // Enough is enough: more bytes change nothing.
                shown => assert_eq!(shown, whole),
            }
        }
    }

    fn send(&self, frame: &[u8]) {
        let head = self.head(frame);
        let offloads = SendOffloads::of(self.features);
        let Ok(mut plan) = offloads.plan(&self.request, head, frame.len()) else {
            return;
        };
        let (left, right) = frame.split_at(self.cut.min(frame.len()));
        plan.complete([left, right]).unwrap();
        assert!(plan.copied_len() <= head.len());

        let mut sent = vec![0; frame.len() + 4];
        let len = plan.write_head(frame, &mut sent).unwrap();
        sent.truncate(len);
        let tag = if plan.tag.is_some() { 4 } else { 0 };
        assert_eq!(len, frame.len() + tag);
        if plan.tag.is_none() {
            let mut in_place = frame.to_vec();
            assert!(plan.patch_head(&mut in_place));
            assert_eq!(in_place, sent);
        }
        if self.request.is_plain() {
            assert_eq!(plan.header, NetHeader::PLAIN);
            return;
        }

        let header = plan.header;
        assert!(usize::from(header.hdr_len) <= len);
        if header.gso_type != 0 {
            assert!(plan.segments > 1 && offloads.checksum);
            assert!(usize::from(header.gso_size) < plan.payload_len);
            assert_eq!(usize::from(header.hdr_len) + plan.payload_len, len);
        }
        if !header.flags.is_empty() {
            let start = usize::from(header.csum_start);
            let field = start + usize::from(header.csum_offset);
            let checksum = match !sum(&sent[start..]) {
                0 => 0xffff,
                checksum => checksum,
            };
            sent[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
        }
        let is_transport = self.request.tcp_checksum
            || self.request.udp_checksum
            || self.request.segmentation.is_some();
        // A third tag cannot be looked behind.
        let Ok(Layers { ip: Some(ip), .. }) = parse(&sent, len, Lengths::Stated) else {
            assert!(tag > 0);
            return;
        };
        if is_transport {
            assert_eq!(check(&ip, [&sent[..]]), State::Good);
        }
        if ip.is_v4() && (self.request.ipv4_checksum || self.request.segmentation.is_some()) {
            let (at, end) = (ip.at, ip.at + ip.header_len);
            assert_eq!(sum(&sent[usize::from(at)..usize::from(end)]), 0xffff);
        }
    }

    fn receive(&self, frame: &[u8]) {
        let layout = HeaderLayout::of(self.features);
        let (header, hash) = layout.parse(&self.header).unwrap();
        let mut written = [0; 20];
        assert_eq!(layout.write(&header, &mut written), Some(layout.size()));
        assert_eq!(
            layout.parse(&written).unwrap().0.encode()[..10],
            header.encode()[..10]
        );
        if let Some(hash) = FlowHash::reported(hash, self.types) {
            assert!(self.types.contains(hash.kind));
        }

        let offloads = ReceiveOffloads::of(self.features);
        let Ok(received) = offloads.judge(&header, self.head(frame), frame.len()) else {
            return;
        };
        let mut completed = frame.to_vec();
        if let Some(pending) = received.pending {
            assert!(offloads.checksum);
            assert!(pending.start <= pending.field && pending.field + 2 <= pending.end);
            assert!(pending.end <= frame.len());
            assert!(pending.complete(&mut completed));
            let counted = received
                .coalesced
                .is_some_and(|coalesced| coalesced.segments > 0)
                && offloads.counts
                && header.flags.bits() & 4 != 0
                && matches!(header.gso_type & 0x7f, 1 | 4);
            if let (true, Some(Layers { ip: Some(ip), .. })) = (counted, received.layers) {
                assert_eq!(check(&ip, [&completed[..]]), State::Good);
            }
        }
        if let Some(coalesced) = received.coalesced {
            assert!(coalesced.segments > 0 && header.gso_type != 0);
        }
        if received.transport != State::Unknown {
            assert!(
                received
                    .layers
                    .unwrap()
                    .ip
                    .unwrap()
                    .transport
                    .at()
                    .is_some()
            );
        }
    }

    fn hash(&self, frame: &[u8]) {
        let Ok(Layers { ip: Some(ip), .. }) = parse(frame, frame.len(), Lengths::Stated) else {
            return;
        };
        let toeplitz = Toeplitz::new(&[0x6d; 40]);
        let Some(hash) = toeplitz.hash(&ip, self.types) else {
            // With every kind enabled there is always one that fits.
            assert!(self.types != HashTypes::ALL);
            return;
        };
        assert!(self.types.contains(hash.kind));
        let table = IndirectionTable::new(&[0, 1, 2, 3]).unwrap();
        assert_eq!(u32::from(table.lookup(hash.value)), hash.value & 3);
    }
}

fn strip(frame: &[u8]) {
    let mut bytes = frame.to_vec();
    let tagged = Link::parse(frame, frame.len()).map(|link| link.outer);
    match vlan::strip(&mut bytes) {
        Some((tag, rest)) => {
            assert_eq!(rest.len() + 4, frame.len());
            assert_eq!((&rest[..12], &rest[12..]), (&frame[..12], &frame[16..]));
            assert!(!matches!(tagged, Ok(outer) if outer != Some(tag)));
        }
        None => {
            assert!(!matches!(tagged, Ok(Some(_))));
            assert_eq!(bytes, frame);
        }
    }
}

fn assert_within(layers: &Layers, frame_len: usize) {
    let link = usize::from(layers.link.header_len);
    assert!(link <= frame_len);
    let Some(ip) = layers.ip else { return };
    let (at, len) = (usize::from(ip.at), usize::from(ip.header_len));
    assert!(at == link && at + len <= ip.end && ip.end <= frame_len);
    let (Some(payload), Some(end)) = (ip.transport.payload_at(), ip.transport_end()) else {
        return;
    };
    let place = ip.transport.checksum_place().unwrap();
    assert!(place.start == at + len && place.field + 2 <= payload);
    assert!(payload <= end && end <= ip.end);
    assert_eq!(ip.payload_len(), Some(end - payload));
}

/// The Internet checksum's sum, a word at a time.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
