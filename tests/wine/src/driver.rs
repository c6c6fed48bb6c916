//! What the driver says in Wine, which can't load it.
//!
//! A stand-in has the driver's control device and answers from a table. The table is made in a
//! conversation: a program in Wine asks; what the table lacks goes, byte for byte, to the real driver in the
//! test host; its answer goes into the table, and the program asks again. So what the program sends is what
//! the driver reads, and what the driver writes is what the program reads, without a word of this harness
//! between them.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::built;
use crate::machine::Machine;

/// The address of the driver's adapter and its virtual function.
const MAC: &str = "52-54-00-12-34-56";

/// The stand-in in Wine.
const IMAGE: &str = "windows/system32/drivers/control.sys";

/// How often a program may come with another request.
const MOST_REQUESTS: usize = 8;

/// A request: a device control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The control code.
    pub code: u32,
    /// Bytes of room for output.
    pub room: usize,
    /// The input.
    pub input: Vec<u8>,
}

/// What a request is completed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// NTSTATUS.
    pub status: u32,
    /// The output.
    pub output: Vec<u8>,
}

impl Machine {
    /// The driver is in a situation of which the test host knows the name (`vf`, `virtio`, `none`, ...), from
    /// now on and instead of what it said before.
    ///
    /// # Errors
    ///
    /// The image, or the program that asks it, has not been built, or the driver breaks a rule.
    pub fn driver_says(&self, situation: &str) -> Result<()> {
        self.driver_answers(|asked| ask(situation, asked))
    }

    /// The driver gives such answers, from now on and instead of those before.
    ///
    /// # Errors
    ///
    /// The stand-in can't be loaded, or `answer` fails, or there is no end to the requests.
    pub fn driver_answers(&self, answer: impl Fn(&Asked) -> Result<Answer>) -> Result<()> {
        if !self.path(IMAGE).exists() {
            self.put_file(&built::stand_in()?, IMAGE)?;
        }
        self.tool(&["load-driver", r"C:\windows\system32\drivers\control.sys"])?;
        for _ in 0..MOST_REQUESTS {
            let ran = self.netkvmp(&["query", "--json"])?;
            ensure!(ran.code == 0, "{ran:?}");
            let name = self.tool(&["asked"])?;
            let name = name.trim();
            if name.is_empty() {
                return Ok(());
            }
            let answer = answer(&Asked::parse(name).with_context(|| name.to_owned())?)?;
            let mut bytes = answer.status.to_le_bytes().to_vec();
            bytes.extend(answer.output);
            self.tool(&["answer", name, &hex(&bytes)])?;
        }
        bail!("netkvmp asks again and again")
    }
}

impl Asked {
    /// Reads the name that the stand-in gives a request.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
        Some(Self {
            code: number()?,
            room: number()?.try_into().ok()?,
            input: from_hex(parts.next()?)?,
        })
    }
}

/// Asks the real driver.
///
/// # Errors
///
/// Something has not been built, or the driver breaks a rule.
pub fn ask(situation: &str, asked: &Asked) -> Result<Answer> {
    #[derive(Deserialize)]
    struct Printed {
        status: u32,
        output: String,
    }

    ensure!(
        env::var_os("NETKVM_SYS").is_some(),
        "NETKVM_SYS has no image; `cargo xtask test wine` builds one and names it"
    );
    let output = Command::new(built::ask_driver()?)
        .args(["--case", situation, "--mac", MAC])
        .args(["--code", &format!("{:#x}", asked.code)])
        .args(["--room", &asked.room.to_string()])
        .args(["--input", &hex(&asked.input)])
        .output()?;
    ensure!(
        output.status.success(),
        "{situation}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed: Printed = serde_json::from_slice(&output.stdout)?;
    Ok(Answer {
        status: printed.status,
        output: from_hex(&printed.output).context("output")?,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_request_is_read() {
        let asked = Asked::parse("00126004:00000310:01000000").expect("well-formed");
        let expected = Asked {
            code: 0x0012_6004,
            room: 784,
            input: vec![1, 0, 0, 0],
        };
        assert_eq!(asked, expected);
        assert_eq!(Asked::parse("0:0:").map(|asked| asked.input), Some(vec![]));
        for name in ["", "1:2", "1:2:3g", "x:2:"] {
            assert_eq!(Asked::parse(name), None, "{name}");
        }
    }
}
