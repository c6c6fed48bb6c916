//! The checksum in the optional header of a PE image, which Windows verifies for every driver.
//!
//! The sum of all 16-bit words of the file, with the carry added back in, the checksum field left
//! out, plus the length of the file. Microsoft Learn, "CheckSumMappedFile function", names it;
//! the sum is the one of the Internet protocols with a 16-bit carry.

/// Offset, in the DOS header, of the field that leads to the PE header.
const NEW_HEADER_FIELD: usize = 0x3C;

/// From the PE signature to the checksum: signature, file header, 64 bytes of optional header;
/// the same in the 32-bit and the 64-bit form.
const FIELD_AFTER_SIGNATURE: usize = 4 + 20 + 64;

/// Writes the right checksum into the image. `None`: this is no PE image.
pub(super) fn set(image: &mut [u8]) -> Option<u32> {
    let field = field_offset(image)?;
    let sum = compute(image, field);
    image
        .get_mut(field..field + 4)?
        .copy_from_slice(&sum.to_le_bytes());
    Some(sum)
}

/// Returns the checksum that the image carries and the one that it should carry.
pub(super) fn read(image: &[u8]) -> Option<(u32, u32)> {
    let field = field_offset(image)?;
    let stored = u32::from_le_bytes(image.get(field..field + 4)?.try_into().ok()?);
    Some((stored, compute(image, field)))
}

fn field_offset(image: &[u8]) -> Option<usize> {
    let header = image.get(NEW_HEADER_FIELD..NEW_HEADER_FIELD + 4)?;
    let header = u32::from_le_bytes(header.try_into().ok()?) as usize;
    let is_pe = image.starts_with(b"MZ") && image.get(header..header + 4)? == b"PE\0\0";
    (is_pe && header.is_multiple_of(2)).then_some(header + FIELD_AFTER_SIGNATURE)
}

fn compute(image: &[u8], field: usize) -> u32 {
    let skipped = field..field + 4;
    let mut sum = 0_u32;
    for (index, pair) in image.chunks(2).enumerate() {
        if skipped.contains(&(index * 2)) {
            continue;
        }
        // An odd last byte counts as a word with a zero above it.
        let high = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_le_bytes([pair[0], high]));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum + image.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 0xE0 bytes and a body that makes carries likely.
    fn image(length: usize) -> Vec<u8> {
        let mut image: Vec<u8> = (0..length).map(|i| (i * 167 + 91) as u8 | 0x80).collect();
        image[..2].copy_from_slice(b"MZ");
        image[NEW_HEADER_FIELD..NEW_HEADER_FIELD + 4].copy_from_slice(&0x80_u32.to_le_bytes());
        image[0x80..0x84].copy_from_slice(b"PE\0\0");
        image
    }

    /// The expected values come from another implementation, `generate_checksum` of pefile.
    #[test]
    fn the_sum_agrees_with_known_values() {
        let mut even = image(4096);
        assert_eq!(set(&mut even), Some(0xA097));
        let mut odd = image(4099);
        assert_eq!(set(&mut odd), Some(0x241F));
    }

    #[test]
    fn what_was_set_reads_back_as_right_and_a_flipped_bit_as_wrong() {
        let mut image = image(1000);
        let sum = set(&mut image).unwrap();
        assert_eq!(read(&image), Some((sum, sum)));
        image[900] ^= 4;
        let (stored, right) = read(&image).unwrap();
        assert_eq!(stored, sum);
        assert_ne!(stored, right);
    }

    #[test]
    fn anything_but_a_pe_image_is_refused() {
        assert_eq!(set(&mut []), None);
        assert_eq!(set(&mut [0; 64]), None);
        let mut short = image(1000);
        short.truncate(0x83);
        assert_eq!(set(&mut short), None);
    }
}
