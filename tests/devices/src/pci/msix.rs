//! MSI-X: table, pending bits and masks (PCI Local Bus 3.0, 6.8.2).
//!
//! ```text
//! BAR:  0                          pending_offset
//!       | entry 0 | entry 1 | ...  | pending bits
//! entry: address low, address high, data, control (bit 0: masked)
//! ```

use super::{Bar, Capability};

const ID: u8 = 0x11;
const ENTRY: u64 = 16;
const CONTROL_MASKED: u32 = 1;
/// Byte 1 of message control: bit 7 enables, bit 6 masks the whole function.
const CONTROL_ENABLE: u16 = 1 << 15;
const CONTROL_FUNCTION_MASK: u16 = 1 << 14;

/// A message that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MsixMessage {
    /// Where the write goes.
    pub address: u64,
    /// What is written.
    pub data: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Address low, address high, data, control.
    words: [u32; 4],
    pending: bool,
}

impl Entry {
    fn message(&self) -> MsixMessage {
        MsixMessage {
            address: u64::from(self.words[0]) | u64::from(self.words[1]) << 32,
            data: self.words[2],
        }
    }

    fn is_masked(&self) -> bool {
        self.words[3] & CONTROL_MASKED != 0
    }
}

/// The MSI-X state of a function, in a BAR of its own.
#[derive(Clone, Debug)]
pub struct MsixTable {
    bar: Bar,
    capability_offset: u8,
    pending_offset: u64,
    entries: Vec<Entry>,
    enabled: bool,
    function_masked: bool,
}

impl MsixTable {
    /// A table of `vectors` entries in `bar`, all masked; the pending bits are in the upper half.
    ///
    /// # Panics
    ///
    /// If the entries do not fit into the lower half of the BAR.
    pub fn new(vectors: u16, bar: Bar, capability_offset: u8) -> Self {
        let pending_offset = bar.size / 2;
        assert!((1..=2048).contains(&vectors) && u64::from(vectors) * ENTRY <= pending_offset);
        let masked = Entry {
            words: [0, 0, 0, CONTROL_MASKED],
            pending: false,
        };
        Self {
            bar,
            capability_offset,
            pending_offset,
            entries: vec![masked; usize::from(vectors)],
            enabled: false,
            function_masked: false,
        }
    }

    /// The BAR that holds the table.
    pub fn bar(&self) -> Bar {
        self.bar
    }

    /// Number of vectors.
    pub fn vectors(&self) -> u16 {
        self.entries.len() as u16
    }

    /// Whether the guest switched MSI-X on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The capability that announces the table.
    pub fn capability(&self) -> Capability {
        let table = u32::from(self.bar.index);
        let pending = self.pending_offset as u32 | u32::from(self.bar.index);
        let mut body = (self.vectors() - 1).to_le_bytes().to_vec();
        body.extend(table.to_le_bytes());
        body.extend(pending.to_le_bytes());
        Capability {
            id: ID,
            offset: self.capability_offset,
            body,
            writable: (CONTROL_ENABLE | CONTROL_FUNCTION_MASK)
                .to_le_bytes()
                .to_vec(),
        }
    }

    /// Takes note of the message control register after a configuration write.
    /// Returns the messages that were waiting for it.
    #[must_use]
    pub fn control_changed(&mut self, control: u16) -> Vec<MsixMessage> {
        self.enabled = control & CONTROL_ENABLE != 0;
        self.function_masked = control & CONTROL_FUNCTION_MASK != 0;
        self.take_deliverable()
    }

    /// Offset of the message control register in configuration space.
    pub fn control_offset(&self) -> usize {
        usize::from(self.capability_offset) + 2
    }

    /// Signals `vector`: the message if it may leave now, else the pending bit is set.
    #[must_use]
    pub fn fire(&mut self, vector: u16) -> Option<MsixMessage> {
        if !self.enabled {
            return None;
        }
        let function_masked = self.function_masked;
        let entry = self.entries.get_mut(usize::from(vector))?;
        if function_masked || entry.is_masked() {
            entry.pending = true;
            return None;
        }
        Some(entry.message())
    }

    /// Forgets what `vector` has pending; its source was reset.
    pub fn clear_pending(&mut self, vector: u16) {
        if let Some(entry) = self.entries.get_mut(usize::from(vector)) {
            entry.pending = false;
        }
    }

    /// Reads the BAR; `data` is 4 or 8 bytes, aligned. Other reads give zeros.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if !Self::is_well_formed(offset, data.len()) {
            return;
        }
        for (word, at) in data.chunks_exact_mut(4).zip((offset..).step_by(4)) {
            word.copy_from_slice(&self.word(at).to_le_bytes());
        }
    }

    /// Writes the BAR; `data` is 4 or 8 bytes, aligned. Other writes, and those to the pending
    /// bits, change nothing. Returns the messages that the write let go.
    #[must_use]
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Vec<MsixMessage> {
        if !Self::is_well_formed(offset, data.len()) {
            return Vec::new();
        }
        for (word, at) in data.chunks_exact(4).zip((offset..).step_by(4)) {
            let (index, field) = ((at / ENTRY) as usize, (at % ENTRY / 4) as usize);
            if let (Some(entry), Some(raw)) = (self.entries.get_mut(index), word.first_chunk()) {
                entry.words[field] = u32::from_le_bytes(*raw);
            }
        }
        self.take_deliverable()
    }

    fn is_well_formed(offset: u64, len: usize) -> bool {
        matches!(len, 4 | 8) && offset.is_multiple_of(len as u64)
    }

    fn word(&self, at: u64) -> u32 {
        if at >= self.pending_offset {
            return self.pending_word(at - self.pending_offset);
        }
        let (index, field) = ((at / ENTRY) as usize, (at % ENTRY / 4) as usize);
        self.entries
            .get(index)
            .map_or(0, |entry| entry.words[field])
    }

    fn pending_word(&self, at: u64) -> u32 {
        let first = at as usize * 8;
        let bits = self.entries.iter().skip(first).take(32).enumerate();
        bits.fold(0, |word, (bit, entry)| {
            word | u32::from(entry.pending) << bit
        })
    }

    fn take_deliverable(&mut self) -> Vec<MsixMessage> {
        if !self.enabled || self.function_masked {
            return Vec::new();
        }
        let waiting = self
            .entries
            .iter_mut()
            .filter(|entry| entry.pending && !entry.is_masked());
        waiting
            .map(|entry| {
                entry.pending = false;
                entry.message()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENABLE: u16 = CONTROL_ENABLE;
    const MESSAGE: MsixMessage = MsixMessage {
        address: 0x1_FEE0_1000,
        data: 0x4041,
    };

    fn table() -> MsixTable {
        MsixTable::new(4, Bar::memory(1, 4096), 0xDC)
    }

    /// Sets up vector 1, unmasked.
    fn armed() -> MsixTable {
        let mut table = table();
        assert!(table.control_changed(ENABLE).is_empty());
        assert!(table.write(16, &MESSAGE.address.to_le_bytes()).is_empty());
        assert!(table.write(24, &MESSAGE.data.to_le_bytes()).is_empty());
        assert!(table.write(28, &[0; 4]).is_empty());
        table
    }

    fn pending(table: &MsixTable) -> u32 {
        let mut raw = [0; 4];
        table.read(2048, &mut raw);
        u32::from_le_bytes(raw)
    }

    #[test]
    fn the_capability_states_size_table_and_pending_bits() {
        let capability = table().capability();

        assert_eq!(capability.body, [3, 0, 1, 0, 0, 0, 0x01, 0x08, 0, 0]);
        assert_eq!(capability.writable, [0x00, 0xC0]);
    }

    #[test]
    fn an_unmasked_vector_fires_its_message() {
        assert_eq!(armed().fire(1), Some(MESSAGE));
    }

    #[test]
    fn nothing_fires_while_msix_is_off_and_nothing_stays_pending() {
        let mut table = armed();
        assert!(table.control_changed(0).is_empty());

        assert_eq!(table.fire(1), None);
        assert_eq!(pending(&table), 0);
    }

    #[test]
    fn a_masked_vector_waits_until_it_is_unmasked() {
        let mut table = armed();
        assert!(table.write(28, &1_u32.to_le_bytes()).is_empty());

        assert_eq!(table.fire(1), None);
        assert_eq!(table.fire(1), None);
        assert_eq!(pending(&table), 0b10);

        assert_eq!(
            table.write(28, &[0; 4]),
            [MESSAGE],
            "two signals merge into one message"
        );
        assert_eq!(pending(&table), 0);
    }

    #[test]
    fn the_function_mask_holds_everything_back() {
        let mut table = armed();
        assert!(
            table
                .control_changed(ENABLE | CONTROL_FUNCTION_MASK)
                .is_empty()
        );

        assert_eq!(table.fire(1), None);

        assert_eq!(table.control_changed(ENABLE), [MESSAGE]);
    }

    #[test]
    fn vectors_start_out_masked() {
        let mut table = table();
        assert!(table.control_changed(ENABLE).is_empty());

        assert_eq!(table.fire(0), None);
        assert_eq!(pending(&table), 0b1);
    }

    #[test]
    fn a_vector_that_does_not_exist_is_silent() {
        assert_eq!(armed().fire(4), None);
    }

    #[test]
    fn odd_accesses_change_nothing() {
        let mut table = armed();

        assert!(table.write(28, &[1]).is_empty());
        assert!(table.write(26, &[1; 4]).is_empty());

        assert_eq!(table.fire(1), Some(MESSAGE));
    }
}
