//! The client of QEMU's qtest protocol: lines of text over a socket.
//!
//! QEMU answers commands in their order, so those whose answer nobody waits for are pipelined
//! ([`Qtest::post`]): a PCI write is posted anyway. Lines about interrupt pins may come in between.
//!
//! QEMU aborts at a malformed command, so each is made here, from numbers.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Time that QEMU has for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Commands without an answer, at most: their answers have to fit the socket.
const MOST_OUTSTANDING: usize = 64;
/// Interrupts of the IOAPIC below this one are those of the board's own devices.
const FIRST_PCI_PIN: u32 = 16;

/// How wide an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Word,
    /// 4 bytes.
    Long,
    /// 8 bytes; memory only.
    Quad,
}

impl Width {
    /// The width of an access of `bytes` bytes; `None` for one that no processor makes.
    #[must_use]
    pub fn of(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Long),
            8 => Some(Self::Quad),
            _ => None,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Byte => 'b',
            Self::Word => 'w',
            Self::Long => 'l',
            Self::Quad => 'q',
        }
    }
}

/// The one owner of a qtest socket.
pub struct Qtest {
    stream: UnixStream,
    /// What came in and is not a whole line yet.
    partial: Vec<u8>,
    /// Commands that were not answered yet.
    outstanding: usize,
    /// Pins of PCI devices that are asserted.
    pins: BTreeSet<u32>,
    /// How that changed since it was last asked: whether any is asserted, after each change.
    levels: Vec<bool>,
    commands: u64,
}

impl Qtest {
    /// A client at one end of a socket whose other end QEMU has.
    ///
    /// # Errors
    ///
    /// The socket takes no timeout.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            partial: Vec::new(),
            outstanding: 0,
            pins: BTreeSet::new(),
            levels: Vec::new(),
            commands: 0,
        })
    }

    /// Commands so far.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// The levels of the interrupt pin since the last call, in their order, as far as QEMU has told.
    #[must_use]
    pub fn take_levels(&mut self) -> Vec<bool> {
        std::mem::take(&mut self.levels)
    }

    /// Has QEMU tell of the interrupt pins.
    ///
    /// # Errors
    ///
    /// QEMU refuses, or is gone; so for all that follows.
    pub fn watch_pins(&mut self) -> Result<()> {
        self.ask("irq_intercept_in ioapic").map(drop)
    }

    /// Reads guest physical memory, or a register that is mapped there.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn read(&mut self, address: u64, width: Width) -> Result<u64> {
        let answer = self.ask(&format!("read{} {address:#x}", width.letter()))?;
        number(&answer)
    }

    /// Writes to guest physical memory or a register there, some time before the next answer.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn write(&mut self, address: u64, width: Width, value: u64) -> Result<()> {
        self.post(&format!("write{} {address:#x} {value:#x}", width.letter()))
    }

    /// Writes to a port, some time before the next answer.
    ///
    /// # Errors
    ///
    /// 8 bytes are none that a port has; and as above.
    pub fn write_port(&mut self, port: u16, width: Width, value: u64) -> Result<()> {
        ensure!(width != Width::Quad, "8 bytes for a port");
        self.post(&format!("out{} {port:#x} {value:#x}", width.letter()))
    }

    /// Reads a port.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn read_port(&mut self, port: u16, width: Width) -> Result<u64> {
        ensure!(width != Width::Quad, "8 bytes of a port");
        let answer = self.ask(&format!("in{} {port:#x}", width.letter()))?;
        number(&answer)
    }

    /// Writes 4 bytes to a port.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn out_long(&mut self, port: u16, value: u32) -> Result<()> {
        self.write_port(port, Width::Long, u64::from(value))
    }

    /// Reads 4 bytes from a port.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn in_long(&mut self, port: u16) -> Result<u32> {
        let value = self.read_port(port, Width::Long)?;
        u32::try_from(value).context("more than was asked for")
    }

    /// Sends a command and waits for its answer: what comes behind OK.
    fn ask(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        loop {
            let answer = self.next_answer(true)?;
            let answer = answer.context("a blocking read returned nothing")?;
            if self.outstanding == 0 {
                return Ok(answer);
            }
        }
    }

    /// Sends a command whose answer is looked at later.
    fn post(&mut self, command: &str) -> Result<()> {
        while self.outstanding >= MOST_OUTSTANDING {
            self.next_answer(true)?;
        }
        self.send(command)
    }

    /// Takes what QEMU has said meanwhile.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn poll(&mut self) -> Result<()> {
        self.stream.set_nonblocking(true)?;
        let taken = self.take_all();
        self.stream.set_nonblocking(false)?;
        taken
    }

    fn take_all(&mut self) -> Result<()> {
        while self.next_answer(false)?.is_some() {}
        Ok(())
    }

    fn send(&mut self, command: &str) -> Result<()> {
        let line = format!("{command}\n");
        self.stream
            .write_all(line.as_bytes())
            .with_context(|| format!("qtest: {command}"))?;
        self.outstanding += 1;
        self.commands += 1;
        Ok(())
    }

    /// The next answer, behind OK. Without one `None`, if the socket does not block.
    fn next_answer(&mut self, blocks: bool) -> Result<Option<String>> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(answer) = self.understand(&line)? {
                    return Ok(Some(answer));
                }
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => bail!("qtest: QEMU has gone"),
                Ok(count) => self.partial.extend(chunk.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !blocks => return Ok(None),
                Err(error) => return Err(error).context("qtest: no answer"),
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.partial.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.partial.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Takes a line. `None`: it is not an answer.
    fn understand(&mut self, line: &str) -> Result<Option<String>> {
        if let Some(change) = line.strip_prefix("IRQ ") {
            self.pin_changed(change)?;
            return Ok(None);
        }
        let answer = line.strip_prefix("OK");
        let answer = answer.with_context(|| format!("qtest: {line}"))?;
        let outstanding = self.outstanding.checked_sub(1);
        self.outstanding = outstanding.context("qtest: an answer that nobody asked for")?;
        Ok(Some(answer.trim().to_owned()))
    }

    fn pin_changed(&mut self, change: &str) -> Result<()> {
        let (what, pin) = change.split_once(' ').context("qtest: IRQ")?;
        let pin: u32 = pin.parse().context("qtest: IRQ")?;
        if pin < FIRST_PCI_PIN {
            return Ok(());
        }
        let before = self.pins.is_empty();
        match what {
            "raise" => self.pins.insert(pin),
            "lower" => self.pins.remove(&pin),
            _ => bail!("qtest: IRQ {change}"),
        };
        if self.pins.is_empty() != before {
            self.levels.push(before);
        }
        Ok(())
    }
}

/// A number as qtest writes it.
fn number(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x");
    ensure!(digits.is_some(), "qtest: `{text}` is not a number");
    u64::from_str_radix(digits.unwrap_or_default(), 16)
        .with_context(|| format!("qtest: `{text}` is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Qtest, UnixStream) {
        let (ours, qemus) = UnixStream::pair().unwrap();
        (Qtest::new(ours).unwrap(), qemus)
    }

    #[test]
    fn an_answer_is_told_from_those_of_posted_writes_and_from_pins() {
        let (mut qtest, mut qemu) = pair();
        qtest.write(0x1000, Width::Word, 7).unwrap();
        qemu.write_all(b"OK\nIRQ raise 0\nIRQ raise 21\nOK 0x00000012\n")
            .unwrap();

        assert_eq!(qtest.read(0x2000, Width::Long).unwrap(), 0x12);
        assert_eq!(qtest.take_levels(), [true]);

        // Short as it may be, an interrupt is told.
        qemu.write_all(b"IRQ lower 21\nIRQ raise 21\nIRQ lower 21\n")
            .unwrap();
        qtest.poll().unwrap();
        assert_eq!(qtest.take_levels(), [false, true, false]);

        let mut sent = [0; 64];
        let count = qemu.read(&mut sent).unwrap();
        assert_eq!(&sent[..count], b"writew 0x1000 0x7\nreadl 0x2000\n");
    }

    #[test]
    fn a_refusal_and_a_hang_up_are_errors() {
        let (mut qtest, mut qemu) = pair();
        qemu.write_all(b"FAIL Unknown command\n").unwrap();
        let error = qtest.watch_pins().unwrap_err();
        assert!(format!("{error:#}").contains("FAIL"), "{error:#}");

        drop(qemu);
        assert!(qtest.poll().is_err());
    }
}
